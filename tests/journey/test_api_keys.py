"""Programs get in with keys that commands have made."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as connected
from websockets.exceptions import ConnectionClosed

from gateway.authn.api_key.key import KeySealer, limit_of
from gateway.authn.api_key.redis import RedisApiKeys
from gateway.core.limit import Limit
from gateway.store.connect import redis_client as connect
from gateway.store.redis import RedisStore
from tests.fakes.http import fetch
from tests.fakes.process import gateway
from tests.fakes.sockets import echoing
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import LONG, LONG_S, SESSION_KEY, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "more": "credentials: {api_keys: {header: X-API-Key}}",
    "more_routes": """
  - name: api
    match: {path: "/api/*"}
    accept: [session, did-token, api-key]
    upstream: app
  - name: keys
    match: {path: "/keys/*"}
    accept: [api-key]
    forward_credentials: true
    upstream: app
""",
}


async def command(config: Path, *words: str) -> tuple[int, str, str]:
    """``gateway api-keys …``: its exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "api-keys", *words, "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "REDIS_URL"},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def made(around: World, owner: str = "service:billing", limit: Limit | None = None) -> str:
    """The text of a new key, made as the command makes it."""
    store = RedisStore(connect(around.store.url, 2.0), "", 2.0)
    try:
        keys = RedisApiKeys(store, KeySealer([SESSION_KEY.encode()]))
        return (await keys.create("ci", owner, lifetime_s=60, limit=limit))[0]
    finally:
        await store.aclose()


async def test_a_key_of_a_service(around: World) -> None:
    """The app is told whose it is and how that was proven, and does not see the key."""
    status, out, _ = await command(around.gateway.config, "create", "ci", "--owner", "billing")
    assert status == 0
    key = out.strip()
    answer = await around.get("/api/x", f"Authorization: Bearer {key}")
    assert 200 == answer.status
    (seen,) = around.app.seen
    assert ["service:billing"] == seen.values("X-User-Issuer")
    assert ["api-key"] == seen.values("X-Auth-Method")
    assert key.encode() not in around.app.raw


async def test_a_key_of_a_person(around: World) -> None:
    """The app is told what Magic knows of that person."""
    around.magic.add_user(ALICE.issuer, "alice@example.com")
    key = await made(around, ALICE.issuer)
    assert 200 == (await around.get("/api/x", f"X-API-Key: {key}")).status
    (seen,) = around.app.seen
    assert [ALICE.issuer] == seen.values("X-User-Issuer")
    assert ["alice@example.com"] == seen.values("X-User-Email")
    assert [] == seen.values("X-API-Key")


async def test_who_am_i(around: World) -> None:
    """A program may ask; until when is its key's end."""
    answer = await around.get("/_gateway/session", f"X-API-Key: {await made(around)}")
    assert ("service:billing", 200) == (answer.json()["issuer"], answer.status)


async def test_a_key_makes_no_session(around: World) -> None:
    """Sessions are for people."""
    key = await made(around, ALICE.issuer)
    answer = await fetch(around.port, "POST", "/_gateway/session", f"X-API-Key: {key}")
    assert (401, "credential_not_accepted") == (answer.status, answer.code)


async def test_programs_get_in_where_a_route_says_so(around: World) -> None:
    """Nowhere else; and people's tokens not where it says programs alone."""
    key = await made(around)
    answer = await around.get("/private", f"Authorization: Bearer {key}")
    assert (401, "credential_not_accepted") == (answer.status, answer.code)
    answer = await around.get("/keys/x", around.bearer())
    assert (401, "credential_not_accepted") == (answer.status, answer.code)
    assert [] == around.app.seen


async def test_a_route_may_let_the_app_see_the_key(around: World) -> None:
    """As it may with tokens."""
    key = await made(around)
    await around.get("/keys/x", f"X-API-Key: {key}")
    assert [key] == around.app.seen[0].values("X-API-Key")


async def test_two_credentials_of_different_users_are_refused(around: World) -> None:
    """A program's key beside a person's cookie: the request is refused."""
    key = await made(around)
    cookie = await around.sign_in()
    answer = await around.get("/api/x", f"X-API-Key: {key}", cookie)
    assert (400, "conflicting_credentials") == (answer.status, answer.code)
    answer = await around.get("/api/x", f"X-API-Key: {key}", around.bearer(BOB))
    assert (400, "conflicting_credentials") == (answer.status, answer.code)
    assert [] == around.app.seen


async def test_two_credentials_of_one_user(around: World) -> None:
    """The key that was sent on purpose applies, beside its owner's cookie."""
    cookie = await around.sign_in()
    key = await made(around, ALICE.issuer)
    assert 200 == (await around.get("/api/x", f"X-API-Key: {key}", cookie)).status
    assert ["api-key"] == around.app.seen[0].values("X-Auth-Method")


async def test_signing_in_as_another_user(around: World) -> None:
    """Everywhere else the two disagree; here the cookie of the one before is replaced."""
    cookie = await around.sign_in()
    bearer = around.bearer(BOB)
    conflict = await around.get("/private", bearer, cookie)
    assert (400, "conflicting_credentials") == (conflict.status, conflict.code)
    answer = await fetch(around.port, "POST", "/_gateway/session", bearer, cookie)
    assert (201, BOB.issuer) == (answer.status, answer.json()["issuer"])


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("gwk_", id="nothing-in-it"),
        pytest.param("gwk_" + "a" * 16 + "_" + "a" * 52 + "_00000000", id="wrong-checksum"),
    ],
)
async def test_what_is_no_key(around: World, key: str) -> None:
    """Is refused, not looked up."""
    answer = await around.get("/api/x", f"Authorization: Bearer {key}")
    assert (401, "invalid_api_key") == (answer.status, answer.code)
    assert "Bearer" == answer.value("WWW-Authenticate")


async def test_revoking(around: World, tmp_path: Path) -> None:
    """Every gateway obeys at once, those too that have the key in their memory."""
    key = await made(around)
    field, key_id = f"X-API-Key: {key}", key[4:20]
    config = around.gateway.config
    async with gateway(config.read_text(), tmp_path) as second:
        for port in (around.port, second.port):
            assert 200 == (await fetch(port, "GET", "/api/x", field)).status
        status, out, _ = await command(config, "revoke", key_id)
        assert (0, f"revoked {key_id}\n") == (status, out)
        for port in (around.port, second.port):
            answer = await fetch(port, "GET", "/api/x", field)
            assert (401, "revoked_api_key") == (answer.status, answer.code)


async def test_revoking_ends_what_was_opened(tmp_path: Path) -> None:
    """A WebSocket is closed; one of another key of the same owner goes on."""
    routes = '  - {name: socket, match: {path: "/socket"}, accept: [api-key], upstream: echo}'
    async with echoing() as port:
        upstream = f'  echo: {{servers: ["http://127.0.0.1:{port}"]}}'
        changes = {"more": CONFIG_CHANGES["more"], "more_routes": routes}
        async with world(tmp_path, more_upstreams=upstream, **changes) as around:
            keys = [await made(around) for _ in range(2)]
            url = f"ws://127.0.0.1:{around.port}/socket"
            one, other = [
                await connected(url, additional_headers=[("X-API-Key", key)]) for key in keys
            ]
            await command(around.gateway.config, "revoke", keys[0][4:20])
            with pytest.raises(ConnectionClosed) as caught:
                await asyncio.wait_for(one.recv(), 20)
            assert caught.value.rcvd is not None
            assert 1008 == caught.value.rcvd.code
            await other.send("still here")
            assert "still here" == await other.recv()
            await other.close()


async def test_a_key_has_its_own_limit(around: World) -> None:
    """Beside those of the route."""
    field = f"X-API-Key: {await made(around, limit=limit_of(2, LONG_S))}"
    answers = [await around.get("/api/x", field) for _ in range(3)]
    assert [200, 200, 429] == [answer.status for answer in answers]
    assert f'"api-key";q=2;w={LONG_S}' == answers[-1].value("RateLimit-Policy")


async def test_failed_keys_are_rate_limited(tmp_path: Path) -> None:
    """Guessing is answered 429 after a few failures; a valid key still works."""
    changes = {**CONFIG_CHANGES, "failures": f"3/{LONG}"}
    async with world(tmp_path, **changes) as around:
        good = f"X-API-Key: {await made(around)}"
        bearer, cookie = around.bearer(), await around.sign_in(BOB)
        for field in (good, bearer):
            assert 200 == (await around.get("/api/x", field)).status
        bad = [await around.get("/api/x", "Authorization: Bearer gwk_x") for _ in range(5)]
        assert [401, 401, 401, 429, 429] == [answer.status for answer in bad]
        assert f'"failures";q=3;w={LONG_S}' == bad[-1].value("RateLimit-Policy")
        assert 1 <= int(bad[-1].value("Retry-After")) <= LONG_S
        for field in (good, bearer, cookie):
            assert 200 == (await around.get("/api/x", field)).status
        around.magic.calls.clear()
        answer = await around.get("/api/x", around.bearer(ALICE))
        assert (429, []) == (answer.status, around.magic.calls)
