"""Sessions that record their sign-ins, over every kind of store."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from gateway.core.errors import OutboxFull, StoreUnavailable, TokenAlreadyUsed
from gateway.core.event import EventType
from gateway.core.identity import AuthMethod, Identity, User
from gateway.hooks.cloud_event import decode
from gateway.hooks.outbox import Outbox
from gateway.hooks.outboxes import Outboxes, Rooms
from gateway.hooks.recorder import EventRecorder
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from gateway.store.redis import RedisStore
from tests.fakes.hooks import ADA, BOB, SOURCE

SEALER = Sealer([b"k" * 32])
BOTH = frozenset({EventType.FIRST_LOGIN, EventType.LOGIN})


def recording(
    store: RedisStore, wanted: frozenset[EventType] = BOTH, room: int = 1000
) -> RedisSessions:
    """Return the sessions of a gateway whose endpoints want some kinds of events."""
    outbox = Outbox(store, "gw:", room_of_first=room)
    return RedisSessions(store, SEALER, sign_ins=EventRecorder(outbox, SOURCE, wanted))


def proven(token: str = "t1") -> Identity:
    ends_ms = int((time.time() + 900) * 1000)
    return Identity(User(ADA), AuthMethod.DID_TOKEN, token, ends_ms, proven_at_ms=ends_ms - 900_000)


async def recorded(store: RedisStore) -> list[EventType]:
    await Outboxes(store, "gw:", Rooms(1000, 1000)).sweep(left_ms=0)  # on a cluster
    return [decode(each.event).type for each in (await Outbox(store, "gw:").unread(1000)).events]


async def test_a_session_and_its_events(store: RedisStore) -> None:
    """Each token makes one session and one login; the person is new once."""
    sessions = recording(store)
    cookie, identity = await sessions.create(proven())
    assert identity == await recording(store).find(cookie)
    with pytest.raises(TokenAlreadyUsed):
        await sessions.create(proven())
    await sessions.create(proven("t2"))
    assert [EventType.FIRST_LOGIN, EventType.LOGIN, EventType.LOGIN] == await recorded(store)
    assert 2 == len(await sessions.list_for(ADA))


async def test_first_logins_at_one_time(store: RedisStore) -> None:
    """Over several gateways: one is the first."""
    gateways = [recording(store) for _ in range(4)]
    await asyncio.gather(
        *(gateways[number % 4].create(proven(f"t{number}")) for number in range(40))
    )
    kinds = await recorded(store)
    assert (1, 40) == (kinds.count(EventType.FIRST_LOGIN), kinds.count(EventType.LOGIN))


async def test_without_endpoints_a_person_is_known_all_the_same(
    store: RedisStore, client: Redis
) -> None:
    """An endpoint that is added later is not told that they are new."""
    await recording(store, frozenset()).create(proven())
    assert b"done" == await client.hget(f"gw:first-login:{ADA}", "state")
    await recording(store).create(proven("t2"))
    assert [EventType.LOGIN] == await recorded(store)


async def test_a_first_login_without_room_makes_no_session(store: RedisStore) -> None:
    """Nor does it use up the token."""
    full = recording(store, room=0)
    with pytest.raises(OutboxFull):
        await full.create(proven())
    assert [] == await full.list_for(ADA)
    assert await recording(store).create(proven())


async def test_a_session_that_is_not_stored_takes_its_mark_back(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same token signs in then, and its person is not new a second time."""
    sessions = recording(store)

    async def unavailable(*_: object, **__: object) -> None:
        raise StoreUnavailable("down")

    with monkeypatch.context() as failing:
        failing.setattr(sessions, "_store_session", unavailable)
        with pytest.raises(StoreUnavailable):
            await sessions.create(proven())
    cookie, identity = await sessions.create(proven())
    assert identity == await sessions.find(cookie)
    assert 1 == (await recorded(store)).count(EventType.FIRST_LOGIN)


async def test_a_first_login_that_was_lost_has_its_id_when_it_is_made_again(
    store: RedisStore,
) -> None:
    """A receiver that heard of it before a failover drops the second; other people have others."""

    async def ids() -> list[str]:
        await Outboxes(store, "gw:", Rooms(1000, 1000)).sweep(left_ms=0)  # on a cluster
        events = [decode(each.event) for each in (await Outbox(store, "gw:").unread(1000)).events]
        return [event.id for event in events if event.type is EventType.FIRST_LOGIN]

    sessions = recording(store)
    await sessions.create(proven("t1"))
    [first] = await ids()
    await store.delete(f"first-login:{ADA}")
    await store.delete("hooks")
    await store.delete("hooks:moved:{gw:hooks}")
    await sessions.create(proven("t2"))
    assert [first] == await ids()
    await sessions.create(replace(proven("t3"), user=User(BOB)))
    assert 2 == len(set(await ids()))
