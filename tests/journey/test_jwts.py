"""JWTs of a configured issuer, whose keys are fetched and change."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.fakes.http import Answer
from tests.fakes.jwts import AUDIENCE, EC, ED, ISSUER, OTHER, RSA, claims, key_set, signed
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
credentials:
  jwt:
    - issuer: {issuer}
      audience: {audience}
      jwks_url: {url}
      algorithms: [RS256, ES256]
      subject_prefix: ci
      claims: {{email: email, roles: groups}}
"""
ROUTES = """
  - {name: api, match: {path: "/api/*"}, accept: [did-token, jwt], upstream: app}
"""


class Published:
    """What the issuer answers."""

    def __init__(self) -> None:
        self.status = 200
        self.body = key_set(RSA, EC)
        self.asked = 0
        self.fields: dict[str, str] = {}
        self.port = 0

    async def elsewhere(self, _: web.Request) -> web.Response:
        """Serve keys of another issuer."""
        return web.Response(body=key_set(OTHER))

    async def answer(self, request: web.Request) -> web.Response:
        """The keys, or a redirect."""
        self.asked += 1
        self.fields = dict(request.headers)
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": "/elsewhere"})
        return web.Response(body=self.body)


@asynccontextmanager
async def published() -> AsyncIterator[Published]:
    """An issuer that serves its keys."""
    keys = Published()
    app = web.Application()
    app.router.add_get("/keys", keys.answer)
    app.router.add_get("/elsewhere", keys.elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    serving = web.TCPSite(runner, "127.0.0.1", 0)
    await serving.start()
    keys.port = runner.addresses[0][1]
    try:
        yield keys
    finally:
        await runner.cleanup()


@asynccontextmanager
async def trusting(folder: Path) -> AsyncIterator[tuple[World, Published]]:
    """A gateway that believes the issuer."""
    async with published() as keys:
        url = f"http://127.0.0.1:{keys.port}/keys"
        more = CONFIG.format(issuer=ISSUER, audience=AUDIENCE, url=url)
        async with world(folder, more=more, more_routes=ROUTES) as around:
            yield around, keys


async def asked(around: World, token: str, path: str = "/api/x") -> Answer:
    return await around.get(path, f"Authorization: Bearer {token}")


async def test_a_token_of_a_trusted_issuer(tmp_path: Path) -> None:
    """Gets in where a route says so; the app is told who it is and how that was proven."""
    async with trusting(tmp_path) as (around, keys):
        said = claims(time.time(), sub="job/7", email="ci@example.com", email_verified=True)
        for key, algorithm in ((EC, "ES256"), (RSA, "RS256")):
            assert 200 == (await asked(around, signed(said, key, algorithm))).status
        seen = around.app.seen[0]
        assert ["ci#job%252F7"] == seen.values("X-User-Issuer")  # encoded twice: id, then field
        assert ["jwt"] == seen.values("X-Auth-Method")
        assert ["ci@example.com"] == seen.values("X-User-Email")
        assert [] == seen.values("Authorization")
        assert 1 == keys.asked
        assert "Cookie" not in keys.fields

        refused = await asked(around, signed(said), "/private")
        assert (401, "credential_not_accepted") == (refused.status, refused.code)
        assert 200 == (await around.get("/api/x", around.bearer())).status


async def test_tokens_that_are_refused(tmp_path: Path) -> None:
    """Each as what it is."""
    async with trusting(tmp_path) as (around, _):
        now_s = time.time()
        expected = {
            signed(claims(now_s), OTHER): "invalid_token",
            signed(claims(now_s, iss="https://evil.example")): "invalid_token",
            signed(claims(now_s), alg="none"): "invalid_token",
            signed(claims(now_s), ED, "EdDSA"): "invalid_token",
            signed(claims(now_s, exp=now_s - 1, iat=now_s - 9)): "expired_token",
            "a.b.c": "invalid_token",
        }
        for token, code in expected.items():
            answer = await asked(around, token)
            assert (401, code) == (answer.status, answer.code)
            assert 'Bearer error="invalid_token"' == answer.value("WWW-Authenticate")
        assert [] == around.app.seen


async def test_issuer_keys_are_rotated(tmp_path: Path) -> None:
    """A new key counts seconds after it is first used, and one that was withdrawn no more."""
    async with trusting(tmp_path) as (around, keys):
        old = signed(claims(time.time()), RSA, "RS256")
        assert 200 == (await asked(around, old)).status
        keys.body = key_set(EC)
        async with asyncio.timeout(20):
            while (await asked(around, signed(claims(time.time()), OTHER, kid="new"))).status:
                if keys.asked > 1:
                    break
                await asyncio.sleep(0.2)
        assert 401 == (await asked(around, old)).status
        assert 200 == (await asked(around, signed(claims(time.time())))).status


async def test_an_issuer_that_cannot_be_reached(tmp_path: Path) -> None:
    """Tokens get 503, not 401, and no redirect is followed."""
    async with trusting(tmp_path) as (around, keys):
        keys.status = 302
        answer = await asked(around, signed(claims(time.time()), OTHER))
        assert (503, "keys_unavailable") == (answer.status, answer.code)
        assert 1 <= int(answer.value("Retry-After"))
        keys.status = 200
        token = signed(claims(time.time()))
        async with asyncio.timeout(20):
            while (await asked(around, token)).status != 200:
                await asyncio.sleep(0.1)


async def test_an_issuer_that_cannot_be_reached_after_a_reload(tmp_path: Path) -> None:
    """A reload keeps the keys that were fetched before."""
    async with trusting(tmp_path) as (around, keys):
        token = signed(claims(time.time()))
        assert 200 == (await asked(around, token)).status
        keys.status = 500
        around.gateway.process.send_signal(signal.SIGHUP)
        await around.gateway.said("config reloaded")
        before = keys.asked
        assert 200 == (await asked(around, token)).status
        assert before < keys.asked
        assert 401 == (await asked(around, signed(claims(time.time()), OTHER))).status
