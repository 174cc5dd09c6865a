"""Events go from the outbox to the queues that want them."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any

import fakeredis
import pytest

from gateway.core.event import EventType
from gateway.core.ports import Script
from gateway.hooks.fan_out import AT_ONCE, FanOut
from gateway.hooks.outbox import Outbox
from gateway.hooks.queue import DeliveryQueue
from gateway.store.redis import RedisStore
from tests.fakes.hooks import BOB, endpoint, event

CRM, MAIL = endpoint(), endpoint("mail", EventType.FIRST_LOGIN)


@pytest.fixture
def store() -> RedisStore:
    return RedisStore(fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer()), "gw:", 2)


@pytest.fixture
def outbox(store: RedisStore) -> Outbox:
    return Outbox(store, "gw:")


def queues(store: RedisStore, max_waiting: int = 10_000) -> dict[str, DeliveryQueue]:
    return {name: DeliveryQueue(store, name, max_waiting) for name in ("crm", "mail")}


def fan_out(outbox: Outbox, made: dict[str, DeliveryQueue]) -> FanOut:
    return FanOut(outbox, {CRM: made["crm"], MAIL: made["mail"]})


async def waiting(queue: DeliveryQueue) -> list[bytes]:
    """Take all deliveries of ``queue``; return their events in order."""
    found = []
    while claims := await queue.claim(60_000, 10):
        for claim in claims:
            found.append(claim.event)
            await queue.delivered(claim)
    return found


async def test_each_endpoint_gets_what_it_wants(store: RedisStore, outbox: Outbox) -> None:
    """In the order of the outbox; what others wrote to the stream is left out."""
    events = [event("e1"), b"no event", event("e2", kind=EventType.FIRST_LOGIN), event("e3")]
    await outbox.record(events, are_sampled=False)
    made = queues(store)
    assert not await fan_out(outbox, made).step()
    assert [events[0], events[2], events[3]] == await waiting(made["crm"])
    assert [events[2]] == await waiting(made["mail"])
    assert [] == (await outbox.unread(10)).events


async def test_many_may_do_so_at_one_time(store: RedisStore, outbox: Outbox) -> None:
    """Each event is in the queue once."""
    events = [event(f"e{number}", f"person{number % 7}") for number in range(AT_ONCE + 50)]
    await outbox.record(events, are_sampled=False)
    made = queues(store)
    steps = await asyncio.gather(*(fan_out(outbox, made).step() for _ in range(4)))
    assert any(steps), "more was waiting"
    while await fan_out(outbox, made).step():
        pass
    await fan_out(outbox, made).step()
    assert sorted(events) == sorted(await waiting(made["crm"]))


async def test_a_step_that_broke_off_is_repeated(
    store: RedisStore, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was added before is not added again."""
    await outbox.record([event("e1"), event("e2", BOB)], are_sampled=False)
    made = queues(store)

    async def broken(_: object) -> bool:
        raise asyncio.CancelledError

    with monkeypatch.context() as breaking:
        breaking.setattr(outbox, "advance", broken)
        with pytest.raises(asyncio.CancelledError):
            await fan_out(outbox, made).step()
    await fan_out(outbox, made).step()
    assert sorted([event("e1"), event("e2", BOB)]) == sorted(await waiting(made["crm"]))


async def test_a_full_queue_holds_the_cursor(store: RedisStore, outbox: Outbox) -> None:
    """Nothing is lost: it goes on when there is room."""
    await outbox.record([event("e1"), event("e2"), event("e3")], are_sampled=False)
    made = queues(store, max_waiting=2)
    assert not await fan_out(outbox, made).step()
    assert [event("e1"), event("e2")] == await waiting(made["crm"])
    await fan_out(outbox, made).step()
    assert [event("e3")] == await waiting(made["crm"])


async def test_a_full_queue_holds_up_no_other_endpoint(store: RedisStore, outbox: Outbox) -> None:
    """However far the outbox goes on; it has all events, in order, when there is room."""
    kind, many = EventType.FIRST_LOGIN, 2 * AT_ONCE + 50
    events = [event(f"e{number:03}", kind=kind) for number in range(many)]
    await outbox.record(events[:-10], are_sampled=False)
    made = queues(store, max_waiting=10_000) | {"crm": DeliveryQueue(store, "crm", 3)}
    handing = fan_out(outbox, made)
    while await handing.step():
        pass
    assert events[:-10] == await waiting(made["mail"])
    assert not await handing.step()
    await outbox.record(events[-10:], are_sampled=False)
    while await handing.step():
        pass
    assert events[-10:] == await waiting(made["mail"])
    found = []
    while took := await waiting(made["crm"]):
        found += took
        await handing.step()
    assert events == found
    assert [] == await waiting(made["mail"])
    assert [] == (await outbox.unread(10)).events


async def test_a_full_queue_is_all_that_is_asked_for(
    store: RedisStore, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While there is no room, and nothing new, the queues of others are left alone."""
    await outbox.record([event("e1"), event("e2")], are_sampled=False)
    made = queues(store) | {"crm": DeliveryQueue(store, "crm", 1)}
    handing, run, asked = fan_out(outbox, made), store.run, list[str]()
    await handing.step()

    def noted(script: Script, *rest: Any) -> Awaitable[object]:
        asked.append(script.name)
        return run(script, *rest)

    monkeypatch.setattr(store, "run", noted)
    assert not await handing.step()
    assert ["outbox_read", "queue_add", "outbox_read"] == asked


async def test_of_two_full_queues_neither_holds_up_the_other(
    store: RedisStore, outbox: Outbox
) -> None:
    """The second one is full further on; once it has room, it has all events, in order."""
    kind = EventType.FIRST_LOGIN
    events = [event(f"e{number:03}", kind=kind) for number in range(3 * AT_ONCE)]
    await outbox.record(events, are_sampled=False)
    made = {"crm": DeliveryQueue(store, "crm", 1), "mail": DeliveryQueue(store, "mail", 300)}
    handing, found = fan_out(outbox, made), list[bytes]()
    for _ in range(4):
        while await handing.step():
            pass
        found += await waiting(made["mail"])
    assert events == found
    assert events[:1] == await waiting(made["crm"])


async def test_another_gateway_that_moves_the_cursor_makes_no_endpoint_miss_anything(
    store: RedisStore, outbox: Outbox
) -> None:
    """It may have died before it handed on what is at the new cursor, where one has no room."""
    kind = EventType.FIRST_LOGIN
    events = [event(f"e{number:03}", kind=kind) for number in range(2 * AT_ONCE)]
    await outbox.record(events[:AT_ONCE], are_sampled=False)
    made = queues(store)
    handing = fan_out(outbox, made | {"crm": DeliveryQueue(store, "crm", 1)})
    assert not await handing.step()
    await outbox.record(events[AT_ONCE:], are_sampled=False)
    await fan_out(outbox, made).step()
    while await handing.step():
        pass
    assert events == await waiting(made["mail"])


async def test_what_the_others_have_had_is_not_read_again(
    store: RedisStore, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time that a full queue has room for some more."""
    kind, run, read = EventType.FIRST_LOGIN, store.run, 0
    events = [event(f"e{number:04}", kind=kind) for number in range(4 * AT_ONCE)]
    await outbox.record(events, are_sampled=False)
    made = queues(store) | {"crm": DeliveryQueue(store, "crm", AT_ONCE)}
    handing = fan_out(outbox, made)
    while await handing.step():
        pass
    assert events == await waiting(made["mail"])

    def counted(script: Script, *rest: Any) -> Awaitable[object]:
        nonlocal read
        read += script.name == "outbox_read"
        return run(script, *rest)

    assert events[:AT_ONCE] == await waiting(made["crm"])
    monkeypatch.setattr(store, "run", counted)
    while await handing.step():
        pass
    assert read <= 3


async def test_a_full_queue_holds_up_no_endpoint_that_others_know(
    store: RedisStore, outbox: Outbox
) -> None:
    """It has all events, in order: those at the cursor, too."""
    events = [event(f"e{number}") for number in range(AT_ONCE + 5)]
    await outbox.record(events, are_sampled=False, endpoints="crm,new")
    crm = DeliveryQueue(store, "crm", 1)
    handing = FanOut(outbox, {CRM: crm}, queue_of=partial(DeliveryQueue, store))
    while await handing.step():
        pass
    assert events == await waiting(DeliveryQueue(store, "new"))
    assert events[:1] == await waiting(crm)


# --- while a config is rolled out ----------------------------------------------------------------


async def test_an_endpoint_that_only_its_recorder_knows_hears_of_an_event(
    store: RedisStore, outbox: Outbox
) -> None:
    """It waits in the queue of that endpoint, for the gateways that know it; each has it once."""
    made = queues(store)
    await outbox.record([event("e1")], are_sampled=False, endpoints="crm,mail,new")
    await outbox.record([event("e2")], are_sampled=False, endpoints="crm")
    older = FanOut(outbox, {CRM: made["crm"]}, queue_of=partial(DeliveryQueue, store))
    for _ in range(2):
        await older.step()
    assert [event("e1"), event("e2")] == await waiting(made["crm"])
    assert [event("e1")] == await waiting(made["mail"])
    assert [event("e1")] == await waiting(DeliveryQueue(store, "new"))


async def test_an_endpoint_hears_of_what_its_recorder_has_it_hear(
    store: RedisStore, outbox: Outbox
) -> None:
    """Where the configs differ in the kinds of events: MAIL is for first logins here."""
    made = queues(store)
    await outbox.record([event("e1")], are_sampled=False, endpoints="mail")
    await fan_out(outbox, made).step()
    assert [event("e1")] == await waiting(made["mail"]) == await waiting(made["crm"])


async def test_what_is_no_name_makes_no_queue(store: RedisStore, outbox: Outbox) -> None:
    """The stream may hold what others wrote."""
    await outbox.record([event("e1")], are_sampled=False, endpoints="a b,,{x},new}\0,ok")
    asked: list[str] = []

    def queue_of(name: str) -> DeliveryQueue:
        asked.append(name)
        return DeliveryQueue(store, name)

    await FanOut(outbox, {}, queue_of=queue_of).step()
    assert ["ok"] == asked


async def test_a_full_queue_of_an_endpoint_that_others_know_holds_up_nothing(
    store: RedisStore, outbox: Outbox
) -> None:
    """It may be one that no config has any more: what finds no room is counted as lost."""
    events = [event("e1"), event("e2")]
    await outbox.record(events, are_sampled=False, endpoints="gone")
    gone, lost = DeliveryQueue(store, "gone", max_waiting=1), list[EventType]()
    made = queues(store)
    await FanOut(outbox, {CRM: made["crm"]}, queue_of=lambda _: gone, on_lost=lost.append).step()
    assert [EventType.LOGIN] == lost
    assert events == await waiting(made["crm"])
    assert [] == (await outbox.unread(10)).events
