"""The gateway's configs: everything at its default, but for what a scenario is about. Pure."""

from pathlib import Path
from typing import NamedTuple


class Variant(NamedTuple):
    """How a gateway differs from the one that most scenarios ask."""

    name: str = "plain"
    routes: int = 0
    """Routes of applications beside the one for everything else."""
    workers: int = 1
    is_pinned: bool = True
    """Whether it has a core for itself."""
    has_tls: bool = False
    is_asked: bool = False
    """Whether another proxy forwards, and asks."""


PLAIN = Variant()
ASKED = Variant("asked", is_asked=True)


class Places(NamedTuple):
    """Where the gateway listens, and where the others do."""

    port: int
    admin_port: int
    upstream_port: int
    store_socket: Path
    certificate: Path
    key: Path
    prefix: str = "gateway:"
    """Of all keys and channels of the store: gateways with another one share nothing in it."""


_CONFIG = """\
server:
  listen: ["127.0.0.1:{places.port}"]
  public_url: {scheme}://127.0.0.1:{places.port}
  workers: {variant.workers}
  trusted_proxies: {trusted}
  max: {{connections: 20000, connections_per_client: 20000}}
{tls}\
admin: {{listen: "127.0.0.1:{places.admin_port}"}}
redis:
  url: "unix://{places.store_socket}"
  prefix: "{places.prefix}"
  timeout: 5s
magic:
  mode: development
session:
  cookie: session
  keys: ["a benchmark's key, which guards nothing at all"]
limits:
  default: {{rate: 100000000/minute}}
  strict: {{rate: 100000000/minute, on_store_failure: closed}}
  used-up: {{rate: 1/1000days}}
upstreams:
  app:
    servers: ["http://127.0.0.1:{places.upstream_port}"]
routes:
  - {{name: strict, match: {{path: "/strict/*"}}, limits: [strict], upstream: app}}
  - {{name: limited, match: {{path: "/limited/*"}}, limits: [used-up], upstream: app}}
  - {{name: app, match: {{path: "/*"}}, upstream: app}}
"""
"""
What everybody gets by default, and limits that are counted but never reached, or used up at once.
A limit that is ``closed`` without the store is strict: each request waits for the store. The store
has more time to answer than by default: on a busy machine it may have to wait for a core.
"""


def gateway_config(places: Places, variant: Variant) -> str:
    """The YAML of a gateway."""
    files = f"{{certificate: {places.certificate}, key: {places.key}}}"
    text = _CONFIG.format(
        places=places,
        variant=variant,
        scheme="http",
        trusted="[127.0.0.1]" if variant.is_asked else "[]",
        tls=f"  tls: {files}\n" if variant.has_tls else "",
    )
    return text + "".join(map(_route, range(variant.routes)))


def _route(number: int) -> str:
    return f'  - {{name: s{number}, match: {{path: "/s/{number}/*"}}, upstream: app}}\n'


def path_of_route(number: int) -> str:
    """A path that only the route of that number is for."""
    return f"/s/{number}/items"
