"""What is known of users: where it comes from, who may read it, and what happens without Magic."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.store.connect import redis_client as connect
from tests.fakes.http import fetch
from tests.fakes.magic import Mood
from tests.fakes.tokens import minted
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

TTL_S = 1.0
CONFIG_CHANGES = {"more_identity": ", metadata_ttl: 1s, metadata_stale: 1h"}

SOON_S = 20


def new_user(number: int) -> TokenSigner:
    """Return the signer of a user that no other test uses."""
    return signer(bytes([9, number]) * 16)


def bearer(by: TokenSigner) -> str:
    """Return the field line of a token of a user that Magic does not know."""
    return f"Authorization: Bearer {minted(time.time(), by)}"


@pytest_asyncio.fixture(loop_scope="module")
async def store(around: World) -> AsyncIterator[Redis]:
    """A client of the gateway's store, as an app has one."""
    client = connect(around.store.url, 2.0)
    yield client
    await client.aclose()


async def stored(store: Redis, by: TokenSigner) -> dict[str, Any]:
    """Return the record of a user, as an app reads it; empty where there is none."""
    text = await store.get(f"user:{by.issuer}")
    return dict(json.loads(text)) if text else {}


async def told(around: World, *fields: str) -> dict[str, str]:
    """The identity fields that the app gets of a request."""
    around.app.seen.clear()
    answer = await around.get("/x", *fields)
    assert 200 == answer.status
    names = ("X-User-Issuer", "X-User-Email", "X-User-Phone")
    return {name: value for name in names for value in around.app.seen[0].values(name)}


async def test_an_app_reads_what_magic_said(around: World, store: Redis) -> None:
    """By key and JSON, under Magic's names, without the gateway; it ends with the token."""
    by, began_s = new_user(1), time.time()
    around.magic.add_user(by.issuer, "one@example.com", oauth_provider="google", username="one")
    await told(around, bearer(by))

    record = await stored(store, by)
    ours = record.pop("gateway")
    assert record == {
        "issuer": by.issuer,
        "publicAddress": by.address,
        "email": "one@example.com",
        "oauthProvider": "google",
        "phoneNumber": None,
        "username": "one",
        "wallets": [],
    }
    assert ours["until"] == await store.pexpiretime(f"user:{by.issuer}")
    assert began_s + 899 <= ours["until"] / 1000 <= time.time() + 900


async def test_signing_out_everywhere_takes_what_apps_read(around: World, store: Redis) -> None:
    """No proof is left; signing out of one session leaves the token's."""
    by = new_user(9)
    cookies = [await around.sign_in(by) for _ in range(2)]
    origin = "Origin: http://localhost"
    first = await fetch(around.port, "DELETE", "/_gateway/session", cookies[0], origin)
    assert (204, by.issuer) == (first.status, (await stored(store, by))["issuer"])
    everywhere = "/_gateway/session?everywhere=true"
    assert 204 == (await fetch(around.port, "DELETE", everywhere, cookies[1], origin)).status
    assert {} == await stored(store, by)


async def test_who_signed_in_by_phone(around: World) -> None:
    """Without an email, the app gets none."""
    by = new_user(2)
    around.magic.add_user(by.issuer, None, phone_number="+4930123456")

    assert await told(around, bearer(by)) == {
        "X-User-Issuer": by.issuer,
        "X-User-Phone": "+4930123456",
    }


@pytest.mark.parametrize("is_user", [True, False])
async def test_a_planted_record_is_ignored(around: World, store: Redis, *, is_user: bool) -> None:
    """Writing to the store creates no user, and changes none; the app's own record stays."""
    by = new_user(3 + is_user)
    planted = {"issuer": by.issuer, "email": "boss@example.com", "fetched_at_ms": 2**42}
    await store.set(f"user:{by.issuer}", json.dumps(planted))
    if is_user:
        around.magic.add_user(by.issuer, "me@example.com")
        assert "me@example.com" == (await told(around, bearer(by)))["X-User-Email"]
    else:
        assert 401 == (await around.get("/x", bearer(by))).status
        assert [] == around.app.seen
    assert planted == await stored(store, by)


async def test_a_session_shows_what_magic_knows_now(around: World) -> None:
    """An address that was changed at Magic is the one that apps get, without signing in anew."""
    by = new_user(5)
    cookie = await around.sign_in(by)
    assert "alice@example.com" == (await told(around, cookie))["X-User-Email"]
    around.magic.add_user(by.issuer, "other@example.com")

    async with asyncio.timeout(SOON_S):
        while (await told(around, cookie))["X-User-Email"] != "other@example.com":
            await asyncio.sleep(0.05)


async def test_a_session_keeps_the_record_there(around: World, store: Redis) -> None:
    """Without further tokens, apps still find a record of the user."""
    by = new_user(6)
    cookie = await around.sign_in(by)
    before_ms = time.time() * 1000 + TTL_S

    async with asyncio.timeout(SOON_S):
        while (await stored(store, by))["gateway"]["fetchedAt"] < before_ms:
            await told(around, cookie)
            await asyncio.sleep(0.05)


async def test_magic_is_down(around: World) -> None:
    """Who was known goes on, for longer than metadata lives; who was not is told to come back."""
    by = new_user(7)
    field = around.bearer(by)
    await told(around, field)
    around.magic.mood = Mood.HANG_UP
    try:
        end_s = time.monotonic() + 2.5 * TTL_S
        while time.monotonic() < end_s:
            await told(around, field)
            await asyncio.sleep(0.05)
        stranger = await around.get("/x", bearer(new_user(8)))
        assert (503, "magic_unavailable") == (stranger.status, stranger.code)
        assert int(stranger.value("Retry-After")) >= 1
    finally:
        around.magic.mood = Mood.WELL
