"""Configs of the gateways: defaults, except for the subject of a scenario. Pure."""

from pathlib import Path
from typing import NamedTuple


class Variant(NamedTuple):
    """Differences of a gateway from the one that most scenarios use."""

    name: str = "plain"
    routes: int = 0
    """Number of routes beside the one for all other paths."""
    workers: int = 1
    is_pinned: bool = True
    """Whether the gateway has a core for itself."""
    has_tls: bool = False
    is_asked: bool = False
    """Whether a proxy in front sends forward-auth checks."""
    is_behind_proxy: bool = False
    """Whether a proxy in front names the client, in ``X-Forwarded-For``."""


PLAIN = Variant()
ASKED = Variant("asked", is_asked=True)
BEHIND_PROXY = Variant("behind-proxy", is_behind_proxy=True)

SESSION_KEY = "a benchmark's key, which guards nothing at all"


class Places(NamedTuple):
    """Ports, sockets and files of a gateway and of its peers."""

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
  client_ip: {client_ip}
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
  keys: ["{session_key}"]
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
The defaults, with limits that are counted but never reached, or that are used up at once.

A limit that is ``closed`` without the store is strict: each request waits for the store. The store
has a longer time-out than by default, because on a busy machine it may have to wait for a core.
"""


def gateway_config(places: Places, variant: Variant) -> str:
    """Write the YAML of a gateway."""
    files = f"{{certificate: {places.certificate}, key: {places.key}}}"
    text = _CONFIG.format(
        places=places,
        variant=variant,
        scheme="http",
        client_ip="x-forwarded-for" if variant.is_behind_proxy else "peer",
        trusted="[127.0.0.1]" if variant.is_asked or variant.is_behind_proxy else "[]",
        session_key=SESSION_KEY,
        tls=f"  tls: {files}\n" if variant.has_tls else "",
    )
    return text + "".join(map(_route, range(variant.routes)))


def _route(number: int) -> str:
    return f'  - {{name: s{number}, match: {{path: "/s/{number}/*"}}, upstream: app}}\n'


def path_of_route(number: int) -> str:
    """Path that only the route of this number matches."""
    return f"/s/{number}/items"
