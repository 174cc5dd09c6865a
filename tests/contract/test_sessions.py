"""What the port `Sessions` promises, over fakeredis, Valkey and Redis."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from gateway.core.errors import SessionEnded, StoreUnavailable, TokenAlreadyUsed
from gateway.core.identity import AuthMethod, Browser, Identity, User
from gateway.sessions.email_index import MAX_OF_EMAIL, EmailIndex
from gateway.sessions.idle import IdleTracker
from gateway.sessions.index import SessionIndex
from gateway.sessions.listing import SignIn
from gateway.sessions.redis import LISTED_BEFORE_STORED_S, MAX_OF_ISSUER, RedisSessions
from gateway.sessions.seal import Sealer, key_name
from gateway.sessions.session import Session
from gateway.store.connect import redis_client as connect
from gateway.store.redis import RedisStore
from tests.fakes.memory import FakeClock
from tests.fakes.servers import RealServer, eventually
from tests.fakes.session_records import entry_before, record_before, sealed_before
from tests.fakes.tokens import ALICE, BOB

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
    assert 4 == len(await client.keys())
    assert 1 == await client.hlen("gw:sessions-of:did:ethr:0xAd")


async def test_the_store_forgets_all_of_it_when_the_token_ends(
    sessions: RedisSessions, client: Redis
) -> None:
    """To the millisecond, by itself."""
    token = proven()
    cookie, _ = await sessions.create(token)

    names = (
        key_name(cookie), "seen:did:ethr:0xAd:tid", "sessions-of:did:ethr:0xAd",
        "issuers-of:ada@example.com",
    )  # fmt: skip
    keys = [f"gw:{name}" for name in names]
    assert {key.encode() for key in keys} == set(await client.keys())
    assert {token.expires_at_ms} == {await client.pexpiretime(key) for key in keys}


async def test_the_issuers_of_an_email_are_known_until_their_last_session_ends(
    store: RedisStore, client: Redis
) -> None:
    """The longest session decides; expired issuers are removed, and the number is bounded."""
    index, now_ms = EmailIndex(store), int(time.time() * 1000)
    await client.zadd("gw:issuers-of:ada@example.com", {BOB.issuer: now_ms - 1})
    for issuer, ends_ms in ((ALICE.issuer, 90_000), (ALICE.issuer, 60_000), ("junk", 30_000)):
        await index.add("Ada@Example.com", issuer, now_ms + ends_ms)

    assert (ALICE.issuer,) == await index.issuers("ada@example.com")
    assert now_ms + 90_000 == await client.pexpiretime("gw:issuers-of:ada@example.com")
    assert [b"junk", ALICE.issuer.encode()] == await client.zrange(
        "gw:issuers-of:ada@example.com", 0, -1
    )
    for number in range(MAX_OF_EMAIL):
        await index.add("ada@example.com", f"did:ethr:0x{number:040}", now_ms + 99_000)
    assert MAX_OF_EMAIL == await client.zcard("gw:issuers-of:ada@example.com")
    assert ALICE.issuer not in await index.issuers("ada@example.com")


async def test_a_session_whose_token_has_ended_is_over(sessions: RedisSessions) -> None:
    """Expiry needs no cleaning up."""
    cookie, _ = await sessions.create(proven(seconds=0.1))

    async def is_over() -> bool:
        try:
            await sessions.find(cookie)
        except SessionEnded:
            return True
        return False

    await eventually(is_over, within_s=20)


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

    await eventually(is_over, within_s=20)


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


async def test_a_store_outage_signs_no_user_out(mortal_server: RealServer) -> None:
    """An unreachable store is not an absent session; within the grace the cached copy counts."""
    store = RedisStore(connect(mortal_server.url, 1), "", timeout_s=1)
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

    await eventually(is_found, within_s=20)
    await store.aclose()


# --- the list of a user's sessions ------------------------------------------------------------

ISSUER = "did:ethr:0xAd"
LIST = f"gw:sessions-of:{ISSUER}"
FIREFOX = Browser("Firefox on Linux", "203.0.113.9")


async def test_sessions_are_listed_for_their_owner(store: RedisStore) -> None:
    """By any gateway, without a cookie: where and when each began, and until when it may last."""
    clock = FakeClock(time.time())
    before_ms = int(clock.now_s * 1000)
    sessions = RedisSessions(store, SEALER, clock)
    _, first = await sessions.create(proven(token_id="1"), FIREFOX)
    clock.now_s += 1
    await sessions.create(proven(token_id="2"), Browser("curl", "2001:db8::1"))
    await sessions.create(replace(proven(token_id="3"), user=User("did:ethr:0xB0")))

    newest, oldest = await RedisSessions(store, SEALER).list_for(ISSUER)

    assert (FIREFOX, Browser("curl", "2001:db8::1")) == (oldest.browser, newest.browser)
    assert (first.session_key, first.expires_at_ms) == (oldest.session_key, oldest.expires_at_ms)
    assert (before_ms, before_ms + 1000) == (oldest.created_at_ms, newest.created_at_ms)
    assert oldest.id != newest.id


async def test_the_store_knows_little_of_what_is_listed(
    sessions: RedisSessions, client: Redis
) -> None:
    """Neither address nor browser is readable, and planted entries are not listed."""
    await sessions.create(proven(), FIREFOX)
    (entry,) = (await client.hgetall(LIST)).values()
    assert b"203.0.113.9" not in entry
    assert b"Firefox" not in entry

    forged = b"%d 0 <script>" % (time.time() * 1000 + 60_000)
    await client.hset(LIST, mapping={"session:forged": forged, "rubbish": b"<script>"})
    await client.set("gw:session:forged", b"x")

    assert [Browser(), FIREFOX] == sorted(
        shown.browser for shown in await sessions.list_for(ISSUER)
    )


async def test_a_session_that_ended_is_listed_no_more(
    sessions: RedisSessions, client: Redis
) -> None:
    """Whether it was ended, or its record is gone for whatever reason."""
    _, ended = await sessions.create(proven(token_id="1"))
    _, gone = await sessions.create(proven(token_id="2"))
    await sessions.end(str(ended.session_key), ISSUER)
    assert 1 == await client.hlen(LIST)
    await client.delete(f"gw:{gone.session_key}")

    assert [] == await sessions.list_for(ISSUER)


async def test_what_is_only_on_the_list_is_taken_off_it(store: RedisStore, client: Redis) -> None:
    """But not while it may still be on its way into the store."""
    _, gone = await RedisSessions(store, SEALER).create(proven())
    await client.delete(f"gw:{gone.session_key}")
    left = []
    for later_s in (LISTED_BEFORE_STORED_S - 5, LISTED_BEFORE_STORED_S + 5):
        later = RedisSessions(store, SEALER, lambda s=later_s: time.time() + s)
        assert [] == await later.list_for(ISSUER)
        left.append(await client.hlen(LIST))

    assert [1, 0] == left


async def test_the_list_forgets_what_has_expired(sessions: RedisSessions, client: Redis) -> None:
    """At the next login; and all of it goes with the last session."""
    await sessions.create(proven(seconds=0.05, token_id="1"))
    last = proven(token_id="2")
    await asyncio.sleep(0.06)
    await sessions.create(last)

    assert 1 == await client.hlen(LIST)
    await sessions.create(proven(seconds=60, token_id="3"))
    assert last.expires_at_ms == await client.pexpiretime(LIST)


async def test_one_session_too_many_ends_the_oldest(sessions: RedisSessions, client: Redis) -> None:
    """A list cannot grow without end, and what is not on it cannot live."""
    clock = FakeClock(time.time())
    sessions = RedisSessions(sessions._store, SEALER, clock)
    made = []
    for number in range(MAX_OF_ISSUER + 2):
        clock.now_s += 0.001
        made.append(await sessions.create(proven(token_id=str(number))))

    assert MAX_OF_ISSUER == await client.hlen(LIST) == len(await sessions.list_for(ISSUER))
    for cookie, _ in made[:2]:
        with pytest.raises(SessionEnded):
            await sessions.find(cookie)
    assert made[2][1] == await sessions.find(made[2][0])


async def test_all_sessions_of_a_person_end_together(
    sessions: RedisSessions, client: Redis
) -> None:
    """All sessions of the user end without their cookies; other users stay signed in."""
    made = [await sessions.create(proven(token_id=str(number))) for number in range(3)]
    other, _ = await sessions.create(replace(proven(), user=User("did:ethr:0xB0")))

    assert 3 == await sessions.end_all(ISSUER)

    for cookie, _ in made:
        with pytest.raises(SessionEnded):
            await sessions.find(cookie)
    assert not await client.exists(LIST)
    assert "did:ethr:0xB0" == (await sessions.find(other)).user.issuer
    assert 0 == await sessions.end_all(ISSUER)


async def test_a_used_token_ends_no_session(sessions: RedisSessions) -> None:
    """Who repeats a token as often as they like pushes nothing off the list."""
    token = proven(token_id="0")
    cookie, identity = await sessions.create(token)
    for number in range(1, MAX_OF_ISSUER):
        await sessions.create(proven(token_id=str(number)))
    for _ in range(5):
        with pytest.raises(TokenAlreadyUsed):
            await sessions.create(token)

    assert MAX_OF_ISSUER == len(await sessions.list_for(ISSUER))
    assert identity == await sessions.find(cookie)


# --- idle ---------------------------------------------------------------------------------------


async def test_a_session_that_is_not_used_is_forgotten(store: RedisStore, client: Redis) -> None:
    """By the store itself, after the idle time or when the token ends, whichever is first."""
    sessions = RedisSessions(store, SEALER, idle_s=60)
    _, long = await sessions.create(proven(token_id="1"))
    _, short = await sessions.create(proven(seconds=30, token_id="2"))

    assert 50_000 < await client.pttl(f"gw:{long.session_key}") <= 60_000
    assert short.expires_at_ms == await client.pexpiretime(f"gw:{short.session_key}")


async def test_use_puts_off_the_end(store: RedisStore, client: Redis) -> None:
    """Never beyond that of the token, and not at every use; when it was is on the list."""
    cookie, identity = await RedisSessions(store, SEALER, idle_s=60).create(proven())
    key = f"gw:{identity.session_key}"
    for left_ms, expected_ms in ((58_000, 58_000), (50_000, 60_000), (900_000, 60_000)):
        await client.pexpire(key, left_ms)
        sessions = RedisSessions(store, SEALER, idle_s=60)
        await sessions.find(cookie)
        await sessions.aclose()
        assert expected_ms - 5_000 < await client.pttl(key) <= expected_ms

    (shown,) = await RedisSessions(store, SEALER, idle_s=60).list_for(ISSUER)
    assert shown.created_at_ms
    assert shown.created_at_ms < (shown.seen_at_ms or 0) <= time.time() * 1000

    await client.pexpire(key, 1_000)
    patient = RedisSessions(store, SEALER, idle_s=86_400)
    await patient.find(cookie)
    await patient.aclose()
    assert abs(identity.expires_at_ms - await client.pexpiretime(key)) <= 5_000


async def test_use_brings_no_session_back(store: RedisStore, client: Redis) -> None:
    """One that was ended while it was looked up stays ended."""
    sessions = RedisSessions(store, SEALER, idle_s=60)
    _, identity = await sessions.create(proven())
    await sessions.end(str(identity.session_key), ISSUER)
    seen = set(await client.keys())

    uses = IdleTracker(store, SessionIndex(store, SEALER), time.time, idle_s=60)
    uses.note(identity)
    await uses.aclose()

    assert seen == set(await client.keys())


# --- sessions of the previous version -----------------------------------------------------------


OLD_COOKIE = "a" * 43
FIREFOX = Browser("Firefox on Linux", "203.0.113.9")


async def signed_in_before(client: Redis, seconds: float = 900) -> Identity:
    """Ada, whose session the previous version wrote and listed."""
    key, now_ms = key_name(OLD_COOKIE), int(time.time() * 1000)
    token = proven(seconds)
    identity = replace(token, method=AuthMethod.SESSION, session_key=key)
    sealed = sealed_before(b"k" * 32, OLD_COOKIE, record_before(Session(identity, now_ms)))
    issuer, ends_ms = identity.user.issuer, identity.expires_at_ms
    await client.set(f"gw:{key}", sealed, pxat=ends_ms)
    entry = entry_before(b"k" * 32, issuer, key, ends_ms, SignIn(FIREFOX, now_ms))
    await client.hset(f"gw:sessions-of:{issuer}", key, entry)
    return identity


async def test_a_session_of_the_previous_version_goes_on(store: RedisStore, client: Redis) -> None:
    """It is found, listed beside new ones, its use is recorded, and it can be ended."""
    identity = await signed_in_before(client)
    sessions = RedisSessions(store, SEALER, idle_s=600)
    assert identity == await sessions.find(OLD_COOKIE)
    await sessions.aclose()  # that use is recorded now
    await sessions.create(proven(token_id="another"), FIREFOX)
    seen_ms = int(time.time() * 1000) + 5000
    await SessionIndex(store, SEALER).seen(identity.user.issuer, key_name(OLD_COOKIE), seen_ms)

    listed = await sessions.list_for(identity.user.issuer)
    assert [FIREFOX] * 2 == [each.browser for each in listed]
    assert seen_ms in [each.seen_at_ms for each in listed]

    await sessions.end(key_name(OLD_COOKIE), identity.user.issuer)
    with pytest.raises(SessionEnded):
        await sessions.find(OLD_COOKIE)
    assert 1 == await client.hlen(f"gw:sessions-of:{identity.user.issuer}")
    await sessions.aclose()


async def test_expired_entries_of_the_previous_version_are_forgotten(
    store: RedisStore, client: Redis
) -> None:
    """At the next login; the list lives as long as the last of both kinds."""
    identity = await signed_in_before(client, seconds=3600)
    name = f"gw:sessions-of:{identity.user.issuer}"
    expired = entry_before(b"k" * 32, identity.user.issuer, "session:x", 9, SignIn(FIREFOX, 7))
    await client.hset(name, "session:x", expired)
    await RedisSessions(store, SEALER).create(proven())
    assert 2 == await client.hlen(name)
    assert identity.expires_at_ms == await client.pexpiretime(name)


async def test_a_list_is_one_piece_of_memory(real_store: RedisStore, real_client: Redis) -> None:
    """Neither fields nor values are longer than a server packs."""
    sessions = RedisSessions(real_store, SEALER)
    for number in range(5):
        await sessions.create(proven(token_id=str(number)), FIREFOX)
    encoding = await real_client.object("ENCODING", "gw:sessions-of:did:ethr:0xAd")
    assert b"listpack" == encoding
