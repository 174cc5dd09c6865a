"""What the port `Sessions` promises, over fakeredis, Valkey and Redis."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from gateway.errors import SessionEnded, StoreUnavailable, TokenAlreadyUsed
from gateway.messages import AuthMethod, Identity, User
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer, key_name
from gateway.store.connect import connect
from gateway.store.redis import RedisStore
from tests.fakes.servers import RealServer, eventually

SEALER = Sealer([b"k" * 32])


def proven(seconds: float = 900, token_id: str = "tid") -> Identity:
    ends_ms = int((time.time() + seconds) * 1000)
    return Identity(
        User("did:ethr:0xAd", "ada@example.com"), AuthMethod.DID_TOKEN, token_id, ends_ms
    )


@pytest.fixture
def sessions(store: RedisStore) -> RedisSessions:
    return RedisSessions(store, SEALER)


async def test_who_signed_in_is_found_by_any_gateway(
    sessions: RedisSessions, store: RedisStore
) -> None:
    """The cookie and the store are all that is needed."""
    cookie, identity = await sessions.create(proven())

    assert identity == await RedisSessions(store, SEALER).find(cookie)


async def test_a_token_can_be_exchanged_once_by_all_gateways_together(
    sessions: RedisSessions, store: RedisStore, client: Redis
) -> None:
    """Of twenty at a time one succeeds; the others leave nothing behind."""
    token = proven()
    gateways = [sessions, RedisSessions(store, SEALER)]

    outcomes = await asyncio.gather(
        *(gateways[i % 2].create(token) for i in range(20)), return_exceptions=True
    )

    assert 19 == [type(outcome) for outcome in outcomes].count(TokenAlreadyUsed)
    assert 2 == len(await client.keys())


async def test_the_store_forgets_both_when_the_token_ends(
    sessions: RedisSessions, client: Redis
) -> None:
    """To the millisecond, by itself."""
    token = proven()
    cookie, _ = await sessions.create(token)

    keys = [f"gw:{key_name(cookie)}", "gw:seen:did:ethr:0xAd:tid"]
    assert {key.encode() for key in keys} == set(await client.keys())
    assert {token.expires_at_ms} == {await client.pexpiretime(key) for key in keys}


async def test_a_session_whose_token_has_ended_is_over(sessions: RedisSessions) -> None:
    """Nobody has to clean up."""
    cookie, _ = await sessions.create(proven(seconds=0.1))

    async def is_over() -> bool:
        try:
            await sessions.find(cookie)
        except SessionEnded:
            return True
        return False

    await eventually(is_over, within_s=2)


async def test_an_end_is_seen_by_other_gateways_within_a_second(
    sessions: RedisSessions, store: RedisStore
) -> None:
    """They trust what they have seen for no longer."""
    other = RedisSessions(store, SEALER)
    cookie, identity = await sessions.create(proven())
    await other.find(cookie)

    await sessions.end(str(identity.session_key))

    async def is_over() -> bool:
        try:
            await other.find(cookie)
        except SessionEnded:
            return True
        return False

    await eventually(is_over, within_s=2)


async def test_many_look_ups_of_many_sessions_are_never_mixed_up(sessions: RedisSessions) -> None:
    """Each cookie finds its own user, with others being cancelled all the while."""
    made = [
        await sessions.create(replace(proven(token_id=str(i)), user=User(f"did:ethr:{i}")))
        for i in range(20)
    ]
    for ticks in range(6):
        fresh = RedisSessions(sessions._store, SEALER)
        finding = [asyncio.ensure_future(fresh.find(cookie)) for cookie, _ in made]
        for _ in range(ticks):
            await asyncio.sleep(0)
        for task in finding[::3]:
            task.cancel()

        found = await asyncio.gather(*finding, return_exceptions=True)

        for (_, identity), outcome in zip(made, found, strict=True):
            assert outcome == identity or isinstance(outcome, asyncio.CancelledError)


async def test_nobody_is_signed_out_because_the_server_is_away(mortal_server: RealServer) -> None:
    """Unknown is not absent; and whoever is known a moment longer is served."""
    store = RedisStore(connect(mortal_server.url, 1), "", timeout_s=0.2)
    sessions = RedisSessions(store, SEALER)
    cookie, identity = await sessions.create(proven())
    await sessions.find(cookie)
    mortal_server.pause()

    assert identity == await sessions.find(cookie)
    with pytest.raises(StoreUnavailable):
        await RedisSessions(store, SEALER).find(cookie)

    mortal_server.resume()

    async def is_found() -> bool:
        try:
            return await RedisSessions(store, SEALER).find(cookie) == identity
        except StoreUnavailable:
            return False

    await eventually(is_found, within_s=5)
    await store.aclose()
