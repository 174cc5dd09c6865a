"""What the config says of webhooks, as it is built."""

import asyncio
import logging
from collections.abc import AsyncIterator

import fakeredis
import pytest
import pytest_asyncio

from gateway.core.errors import DeniedByLimit, Forbidden, OutboxFull, RateLimited, StartError
from gateway.core.event import Event, EventType
from gateway.core.identity import UNKNOWN_BROWSER, AuthMethod, Identity, User
from gateway.core.invalidation import InvalidationKind
from gateway.core.reasons import ForbiddenReason
from gateway.core.record import RequestRecord
from gateway.hooks.attempts import Verdict
from gateway.hooks.courier import Courier
from gateway.hooks.delivery import AttemptOutcome
from gateway.hooks.outbox import Outbox
from gateway.runtime.process import ProcessServices
from gateway.runtime.services import hooks
from gateway.runtime.services.store import SharedStore
from gateway.store.bus import StoreBus
from gateway.store.redis import RedisStore
from gateway.telemetry.metrics import (
    FIRST_LOGINS_REFUSED,
    HOOK_DELIVERIES,
    HOOK_EVENTS,
    HOOK_EVENTS_LOST,
)
from tests.fakes.hooks import ADA, SECRET, FakeEvents
from tests.fakes.services import fake_process, settings_of

FIRST = (
    f"first_login: {{url: 'https://crm.example.com/new?key=hush', secret: {SECRET}, wait: true}}"
)
AUDIT = (
    f"endpoints: [{{name: audit, url: 'https://audit.example.com', secret: {SECRET},"
    " events: [user.login, user.denied]}]"
)
BOTH = f"hooks: {{{FIRST}, {AUDIT}}}"
PROVEN = Identity(User(ADA), AuthMethod.DID_TOKEN, "t1", 4_000_000_000_000)


@pytest_asyncio.fixture
async def process() -> AsyncIterator[ProcessServices]:
    """A process with a store that runs scripts."""
    store = RedisStore(fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer()), "", 2)
    async with fake_process(settings_of()) as made:
        yield made._replace(store=store)
    await store.aclose()


def test_endpoints_of_the_config() -> None:
    """The short form hears of first logins alone; its secret is in the signer."""
    short, audit = hooks.endpoints(settings_of(BOTH))
    assert ("first-login", frozenset({EventType.FIRST_LOGIN})) == (short.name, short.events)
    assert (True, False) == (short.is_awaited, audit.is_awaited)
    assert SECRET not in repr(short)
    wanted = {EventType.FIRST_LOGIN, EventType.LOGIN, EventType.DENIED}
    assert wanted == hooks.wanted_events(settings_of(BOTH))
    assert [] == hooks.endpoints(settings_of())


async def test_what_is_recorded_is_counted(
    process: ProcessServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is lost or refused."""
    monkeypatch.setattr("gateway.hooks.delivery.POLL_S", 3600)
    settings, counts = settings_of(BOTH), process.wire.counters.counts
    async with hooks.hook_services(settings, process) as services:
        assert await services.recorder.record(PROVEN, UNKNOWN_BROWSER, "session:1")
        assert 1 == counts[HOOK_EVENTS, EventType.FIRST_LOGIN] == counts[HOOK_EVENTS, "user.login"]
        assert not await services.first_logins.settled(ADA, within_s=0)

        full = Outbox(process.store, "", room_of_first=0)
        monkeypatch.setattr(services.recorder, "_outbox", full)
        with pytest.raises(OutboxFull):
            await services.recorder.record(
                Identity(User("did:ethr:0xB0b"), AuthMethod.DID_TOKEN, "t2", 4_000_000_000_000),
                UNKNOWN_BROWSER,
                "session:2",
            )
        await services.recorder.tell(EventType.DENIED, ADA, {})
    assert 1 == counts[FIRST_LOGINS_REFUSED, ""]
    assert 1 == counts[HOOK_EVENTS_LOST, EventType.DENIED]


@pytest.mark.parametrize("is_awaited", [True, False])
async def test_only_what_is_waited_for_is_handed_on_at_once(
    process: ProcessServices, monkeypatch: pytest.MonkeyPatch, is_awaited: bool
) -> None:
    """The rest comes when the request that has recorded it has its answer."""
    woken: list[str] = []
    monkeypatch.setattr(Courier, "wake", lambda _: woken.append("at once"))
    monkeypatch.setattr(Courier, "wake_soon", lambda _: woken.append("soon"))
    config = BOTH if is_awaited else BOTH.replace(", wait: true", "")
    async with hooks.hook_services(settings_of(config), process) as services:
        await services.recorder.record(PROVEN, UNKNOWN_BROWSER, "session:1")
        assert ["soon", "at once" if is_awaited else "soon"] == woken


async def test_without_endpoints_nothing_runs(process: ProcessServices) -> None:
    """A sign-in makes its person known."""
    async with hooks.hook_services(settings_of(), process) as services:
        services.courier.start()
        assert services.courier._running is None
        assert await services.recorder.record(PROVEN, UNKNOWN_BROWSER, "session:1")
        assert await services.first_logins.settled(ADA)
    assert {} == hooks.told_refusals(settings_of(), FakeEvents())


async def test_an_attempt_is_counted_and_logged(
    process: ProcessServices, caplog: pytest.LogCaptureFixture
) -> None:
    """By the place of the endpoint, which has no secret."""
    place = "https://crm.example.com/…"
    done = AttemptOutcome("crm", "user.login", Verdict.DELIVERED, "status 204", "evt_1", 2, 0.25)
    with caplog.at_level(logging.INFO):
        hooks._note_attempt(process, place, done)
        hooks._note_attempt(
            process, place, done._replace(verdict=Verdict.RETRY, reason="status 503")
        )
    assert [
        f"hook crm: user.login evt_1 delivered at {place}, attempt 2, 250 ms: status 204",
        f"hook crm: user.login evt_1 failed at {place}, attempt 2, 250 ms: status 503",
    ] == [record.getMessage() for record in caplog.records]
    counts = process.wire.counters.counts
    assert 1 == counts[HOOK_DELIVERIES, "crm,delivered"] == counts[HOOK_DELIVERIES, "crm,failed"]


def test_refusals_that_are_told() -> None:
    """By their caller, else by the address of the client; others are not looked at."""
    events = FakeEvents()
    told = hooks.told_refusals(settings_of(BOTH), events)
    assert {Forbidden, DeniedByLimit} == told.keys(), "no endpoint wants to hear of limits"
    record = RequestRecord(client="203.0.113.9", route="admin", refusal="forbidden")
    refusal = Forbidden(ForbiddenReason.ROLE_MISSING)
    told[Forbidden](refusal, record)
    record.issuer = ADA
    told[Forbidden](refusal, record)
    assert [(EventType.DENIED, "203.0.113.9"), (EventType.DENIED, ADA)] == [
        (kind, subject) for kind, subject, _ in events.told
    ]
    assert ("admin", "forbidden") == (events.told[0][2]["route"], events.told[0][2]["code"])
    limits = f"hooks: {{{AUDIT.replace('user.login', 'limit.exceeded')}}}"
    assert RateLimited in hooks.told_refusals(settings_of(limits), events)


# --- functions ------------------------------------------------------------------------------------

FUNCTION = "hooks: {functions: [{name: welcome, events: [user.first_login], wait: true}]}"


def test_a_function_is_an_endpoint() -> None:
    """Its events are wanted, and it is waited for like a webhook."""
    [welcome] = hooks.endpoints(settings_of(FUNCTION))
    assert ("welcome", "python:welcome", True) == (welcome.name, welcome.url, welcome.is_awaited)
    assert {EventType.FIRST_LOGIN} == hooks.wanted_events(settings_of(FUNCTION))


async def test_a_function_that_no_package_offers_is_said_at_the_start(
    process: ProcessServices,
) -> None:
    """Nothing is recorded for what could never be delivered."""
    with pytest.raises(StartError, match="welcome: no package offers it"):
        async with hooks.hook_services(settings_of(FUNCTION), process):
            pass


async def test_a_function_hears_of_first_logins(
    process: ProcessServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, with the event that was recorded; and the first login is set up then."""
    heard: asyncio.Queue[Event] = asyncio.Queue()

    async def welcome(event: Event) -> None:
        heard.put_nowait(event)

    monkeypatch.setattr(hooks, "load_hook", lambda _name: welcome)
    async with hooks.hook_services(settings_of(FUNCTION), process) as services:
        services.courier.start()
        assert await services.recorder.record(PROVEN, UNKNOWN_BROWSER, "session:0")
        async with asyncio.timeout(20):
            event = await heard.get()
    assert (EventType.FIRST_LOGIN, ADA) == (event.type, event.subject)


async def test_what_a_command_tells_is_looked_for_at_once(
    process: ProcessServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all gateways; a command that has recorded nothing asks none to look."""
    woken, told = list[Courier](), list[str]()
    monkeypatch.setattr(Courier, "wake_all", lambda courier: woken.append(courier))  # noqa: PLW0108 (a method)
    monkeypatch.setattr(Courier, "wake_soon", lambda _: None)
    settings, bus = settings_of(BOTH), StoreBus(process.store)
    bus.on(InvalidationKind.HOOKS, told.append)
    async with hooks.hook_services(settings, process._replace(bus=bus)) as services:
        for kind in (EventType.LOGOUT, EventType.DENIED):
            async with hooks.telling(settings, SharedStore(process.store, bus)) as changes:
                await changes.tell(kind, ADA, {})
        assert [services.courier] == woken
    bus.notify(InvalidationKind.HOOKS, "crm")
    assert [services.courier] == woken, "it is closed"
    assert ["recorded", "crm"] == told
