"""Everything a gateway stands between: an app, a store, Magic; all of them real servers."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.authn.did_token.mint import TokenSigner
from tests.fakes import servers, upstream
from tests.fakes.http import Answer, fetch
from tests.fakes.magic import SECRET_KEY, FakeMagic
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.tokens import ALICE, minted
from tests.fakes.upstream import Upstream

LONG, LONG_S = "9999days", 9999 * 86_400
"""
A window that ends under no test.

Where one ends, the shares of two are rounded down: one request more passes.
"""
SESSION_KEY = "a sealing key for tests, long enough to be one"

CONFIG = """
server:
  listen: {listen}
{more_server}
  public_url: http://localhost
  workers: {workers}
  client_ip: {client_ip}
  trusted_proxies: {trusted_proxies}
  timeouts: {timeouts}
  max: {max}
admin: {admin}
redis: {{url: "{redis}", timeout: {redis_timeout}{more_redis}}}
magic:
  {{mode: live, secret_key: {secret_key}, publishable_key: {publishable_key}, api_url: "{magic}",
    timeout: {magic_timeout}{more_magic}}}
session: {{keys: [{session_keys}]{more_session}}}
identity: {{max_token_lifetime: 1d{more_identity}}}
login: {login}
{more}
limits:
  default: {{rate: 1000000/minute}}
  failures: {{rate: {failures}}}
  tight: {{rate: {tight}}}
{more_limits}
upstreams:
  app:
    servers: ["http://127.0.0.1:{app}"]
    timeouts: {app_timeouts}
    connections: {connections}
{more_upstreams}
routes:
{more_routes}
  - {{name: public, match: {{path: "/public/*"}}, auth: none, upstream: app}}
  - {{name: optional, match: {{path: "/optional/*"}}, auth: optional, upstream: app}}
  - {{name: tight, match: {{path: "/tight/*"}}, auth: none, limits: [tight], upstream: app}}
  - {{name: tight-and-private, match: {{path: "/tight-private/*"}}, limits: [tight], upstream: app}}
  - {{name: raw, match: {{path: "/raw/*"}}, forward_credentials: true, upstream: app}}
  - name: slashes
    match: {{path: "/slashes/*"}}
    auth: none
    encoded_slashes: keep
    upstream: app
  - {{name: rest, match: {{path: "/*"}}, upstream: app}}
"""

ADMIN = '{listen: "127.0.0.1:0"}'
"""A private listener, where one is wanted."""

DEFAULTS = {
    "listen": '["127.0.0.1:0"]',
    "more": "",
    "failures": "1000000/minute",
    "tight": f"5/{LONG}",
    "more_server": "",
    "admin": "null",
    "workers": "1",
    "publishable_key": "",
    "session_keys": f'"{SESSION_KEY}"',
    "redis_timeout": "1s",
    "magic_timeout": "1s",
    "more_redis": "",
    "client_ip": "peer",
    "trusted_proxies": "[]",
    "timeouts": "{}",
    "max": "{}",
    "app_timeouts": "{}",
    "connections": "64",
    "more_magic": "",
    "more_session": "",
    "login": "{}",
    "more_identity": "",
    "more_limits": "",
    "more_upstreams": "",
    "more_routes": "",
}


@dataclass(slots=True)
class World:
    """A running gateway and what is around it."""

    gateway: GatewayProcess
    app: Upstream
    store: servers.RealServer
    magic: FakeMagic

    @property
    def port(self) -> int:
        """Where the gateway listens."""
        return self.gateway.port

    async def get(self, path: str, *fields: str) -> Answer:
        """GET on a new connection."""
        return await fetch(self.port, "GET", path, *fields)

    def bearer(self, by: TokenSigner = ALICE, lifetime_s: float = 900) -> str:
        """Return the field line of a new token; Magic knows its user."""
        self.magic.add_user(by.issuer, "alice@example.com")
        return f"Authorization: Bearer {minted(time.time(), by, lifetime_s)}"

    async def sign_in(self, by: TokenSigner = ALICE, lifetime_s: float = 900, *fields: str) -> str:
        """The field line of a new session's cookie; ``fields`` are sent along."""
        bearer = self.bearer(by, lifetime_s)
        answer = await fetch(self.port, "POST", "/_gateway/session", bearer, *fields)
        assert answer.status == 201, answer
        return "Cookie: " + answer.value("Set-Cookie").partition(";")[0]

    def forget(self) -> None:
        """What the last test left behind."""
        self.app.seen.clear()
        self.app.answers.clear()
        self.app.streams.clear()
        self.app.lost.clear()
        self.app.arrived.clear()
        self.app.raw = b""
        self.magic.calls.clear()
        self.magic.logouts.clear()


@asynccontextmanager
async def world(folder: Path, *launcher: str, **changes: str) -> AsyncIterator[World]:
    """
    A world; ``changes`` are parts of its config, see `DEFAULTS`.

    ``launcher`` is a command that starts the gateway, see `gateway`.
    """
    magic = FakeMagic()
    with servers.valkey() as store:
        async with upstream.serving() as app, magic.serving() as magic_url:
            config = CONFIG.format(
                magic=magic_url,
                secret_key=SECRET_KEY,
                app=app.port,
                **{**DEFAULTS, "redis": store.url, **changes},
            )
            async with gateway(config, folder, launcher) as running:
                yield World(running, app, store, magic)
