"""What is recorded of sign-ins, and beside other changes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import fakeredis
import pytest
import pytest_asyncio

from gateway.core.errors import OutboxFull, StoreUnavailable
from gateway.core.event import Event, EventType
from gateway.core.identity import UNKNOWN_BROWSER, AuthMethod, Browser, Identity, User
from gateway.hooks.cloud_event import decode
from gateway.hooks.outbox import Outbox
from gateway.hooks.recorder import EventRecorder, Heard
from gateway.store.confirm import Confirmation, ConfirmedBatch
from gateway.store.redis import RedisStore
from tests.fakes.hooks import ADA, SOURCE
from tests.fakes.memory import FakeClock

BROWSER = Browser("Firefox on Linux", "203.0.113.9")
ENDS_MS = 4_000_000_000_000
ALL = frozenset(EventType)
DENIED = EventType.DENIED


def proven(token: str = "t1", issuer: str = ADA) -> Identity:
    return Identity(User(issuer, "ada@example.com"), AuthMethod.DID_TOKEN, token, ENDS_MS)


class Desk:
    """A recorder over a store of its own, and what was heard of it."""

    def __init__(
        self, store: RedisStore, wanted: frozenset[EventType] = ALL, room: int = 100
    ) -> None:
        self.store = store
        self.clock = FakeClock()
        self.heard: Counter[str] = Counter()
        self.outbox = Outbox(store, "gw:", room_of_first=room)
        heard = Heard(
            lambda kind: self.heard.update([f"recorded {kind}"]),
            lambda kind: self.heard.update([f"lost {kind}"]),
            lambda: self.heard.update(["full"]),
        )
        self.recorder = EventRecorder(self.outbox, SOURCE, wanted, heard, self.clock)

    async def events(self) -> list[Event]:
        return [decode(each.event) for each in (await self.outbox.unread(100)).events]


@pytest_asyncio.fixture
async def store() -> AsyncIterator[RedisStore]:
    opened = RedisStore(fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer()), "gw:", 2)
    yield opened
    await opened.aclose()


async def test_a_sign_in_is_told_with_who_and_where(store: RedisStore) -> None:
    """The first one as two events; neither tells the session's key, nor the token."""
    desk = Desk(store)
    assert await desk.recorder.record(proven(), BROWSER, "session:secret")
    first, login = await desk.events()
    assert (EventType.FIRST_LOGIN, EventType.LOGIN) == (first.type, login.type)
    assert ADA == first.subject == login.subject
    assert "ada@example.com" == first.data["email"] == login.data["email"]
    assert ("Firefox on Linux", "203.0.113.9") == (login.data["device"], login.data["ip"])
    assert "secret" not in str(login)
    assert {"recorded user.login": 1, "recorded user.first_login": 1} == desk.heard


async def test_the_id_of_an_event_is_that_of_its_token(store: RedisStore) -> None:
    """A token that signs in again, as its session was not stored, makes no other event."""
    desk = Desk(store)
    await desk.recorder.record(proven(), BROWSER, "session:1")
    await desk.recorder.take_back(proven())
    assert await desk.recorder.record(proven(), BROWSER, "session:2")
    await desk.recorder.record(proven("t2"), BROWSER, "session:3")
    first, *logins = await desk.events()
    ids = [login.id for login in logins]
    assert ids[0] == ids[1] != ids[2]
    assert first.id not in ids


async def test_a_used_token_records_nothing(store: RedisStore) -> None:
    """And nothing is heard."""
    desk = Desk(store)
    await desk.recorder.record(proven(), BROWSER, "session:1")
    before = desk.heard.copy()
    assert not await desk.recorder.record(proven(), BROWSER, "session:2")
    assert before == desk.heard


async def test_a_used_token_stays_used_where_no_replica_confirms() -> None:
    """One whose own sign-in was not confirmed counts again; one that was used before does not."""
    server = fakeredis.FakeServer()  # it knows no WAIT: nothing is confirmed
    batch = partial(ConfirmedBatch, Confirmation(1, 0.01, is_required=True))
    plain = RedisStore(fakeredis.FakeAsyncRedis(server=server), "gw:", 2)
    waiting = RedisStore(fakeredis.FakeAsyncRedis(server=server), "gw:", 2, batch=batch)
    confirmed = EventRecorder(Outbox(plain, "gw:"), SOURCE, ALL)
    unconfirmed = EventRecorder(Outbox(plain, "gw:", confirming=waiting), SOURCE, ALL)
    assert await confirmed.record(proven("used"), BROWSER, "session:1")
    assert not await unconfirmed.record(proven("used"), BROWSER, "session:2")
    assert not await confirmed.record(proven("used"), BROWSER, "session:3")

    with pytest.raises(StoreUnavailable):
        await unconfirmed.record(proven("new"), BROWSER, "session:4")
    assert await confirmed.record(proven("new"), BROWSER, "session:5")
    await waiting.aclose()
    await plain.aclose()


async def test_what_no_endpoint_wants_is_not_recorded(store: RedisStore) -> None:
    """The marker is written all the same."""
    desk = Desk(store, frozenset())
    assert await desk.recorder.record(proven(), UNKNOWN_BROWSER, "session:1")
    await desk.recorder.tell(EventType.LOGOUT, ADA, {})
    desk.recorder.sample(DENIED, ADA, {})
    assert [] == await desk.events()
    assert Counter() == desk.heard
    desk = Desk(store)
    await desk.recorder.record(proven("t2"), UNKNOWN_BROWSER, "session:2")
    assert [EventType.LOGIN] == [event.type for event in await desk.events()]


async def test_a_login_that_finds_no_room_is_counted_as_lost(store: RedisStore) -> None:
    """Its sign-in stands, and the event of the first one is recorded."""
    desk = Desk(store, room=1)
    assert await desk.recorder.record(proven(), BROWSER, "session:1")
    assert [EventType.FIRST_LOGIN] == [event.type for event in await desk.events()]
    assert {"lost user.login": 1, "recorded user.first_login": 1} == desk.heard


async def test_a_first_sign_in_without_room_is_refused(store: RedisStore) -> None:
    """That is counted; other events are lost, and counted."""
    desk = Desk(store, room=0)
    with pytest.raises(OutboxFull):
        await desk.recorder.record(proven(), BROWSER, "session:1")
    await desk.recorder.tell(EventType.LOGOUT, ADA, {})
    assert {"full": 1, "lost user.logout": 1} == desk.heard


async def test_an_event_that_cannot_be_recorded_fails_nothing(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted as lost."""
    desk = Desk(store)

    async def unavailable(*_: object) -> object:
        raise StoreUnavailable("down")

    monkeypatch.setattr(store, "run", unavailable)
    await desk.recorder.tell(EventType.LOGOUT, ADA, {})
    assert {"lost user.logout": 1} == desk.heard


async def test_one_sample_a_second(store: RedisStore) -> None:
    """It tells of the latest, and how many there were."""
    desk = Desk(store)
    for number in range(5):
        desk.recorder.sample(DENIED, f"person{number}", {"route": "r"})
    desk.recorder.sample(EventType.LIMIT_EXCEEDED, "203.0.113.9", {})
    desk.clock.now_s += 1
    desk.recorder.sample(DENIED, "person5", {})
    await desk.recorder.aclose()
    found = [(event.type, event.subject, event.data["count"]) for event in await desk.events()]
    assert [
        (DENIED, "person0", 1),
        (EventType.LIMIT_EXCEEDED, "203.0.113.9", 1),
        (DENIED, "person5", 5),
    ] == found
    assert not asyncio.all_tasks() - {asyncio.current_task()}


async def test_an_event_is_recorded_with_the_endpoints_that_want_it(store: RedisStore) -> None:
    """So that a gateway that does not know one of them yet leaves the event to it."""
    outbox = Outbox(store, "gw:")
    named = {EventType.FIRST_LOGIN: "crm,mail", EventType.LOGIN: "crm", EventType.LOGOUT: "audit"}
    recorder = EventRecorder(outbox, SOURCE, frozenset(named), endpoints=named)
    await recorder.record(proven(), BROWSER, "session:1")
    await recorder.tell(EventType.LOGOUT, ADA, {})
    found = [
        (decode(each.event).type, set(each.endpoints)) for each in (await outbox.unread(9)).events
    ]
    assert [
        (EventType.FIRST_LOGIN, {"crm", "mail"}),
        (EventType.LOGIN, {"crm"}),
        (EventType.LOGOUT, {"audit"}),
    ] == found
