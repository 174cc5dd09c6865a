"""What operators see of a queue of deliveries, over every kind of store."""

import time

import pytest
from redis.asyncio import Redis

from gateway.hooks.queue import Attempts, Delivery, DeliveryQueue
from gateway.hooks.queue_view import QueueState, QueueView
from gateway.store.redis import RedisStore
from gateway.util.rfc3339 import LAST_MS
from tests.fakes.hooks import ADA, BOB, delivery

LEASE_MS, EVENT_MS = 60_000, 1_700_000_000_000


@pytest.fixture
def queue(store: RedisStore) -> DeliveryQueue:
    return DeliveryQueue(store, "crm")


@pytest.fixture
def view(store: RedisStore) -> QueueView:
    return QueueView(store, "crm", page=2)


async def test_an_empty_queue(view: QueueView) -> None:
    """Nothing waits, and nothing is found."""
    assert QueueState(0, 0, None) == await view.state()
    assert [] == await view.find("e1")


async def test_a_queue_tells_what_waits_and_what_is_due(
    queue: DeliveryQueue, view: QueueView
) -> None:
    """One that is under way is not due. What is no event has no time."""
    people = [f"person{number}" for number in range(5)]
    await queue.add([delivery(f"e {person}", person) for person in people])
    await queue.add([delivery("later", people[0])])
    assert QueueState(6, 5, EVENT_MS) == await view.state()
    [claim, _] = await queue.claim(LEASE_MS, 2)
    assert QueueState(6, 3, EVENT_MS) == await view.state()
    await queue.delivered(claim)
    assert 5 == (await view.state()).waiting


async def test_what_is_no_event_is_counted(queue: DeliveryQueue, view: QueueView) -> None:
    """It has no time, and no id by which it is found."""
    await queue.add([Delivery(ADA, "odd", b"\xff odd")])
    assert QueueState(1, 1, None) == await view.state()
    assert [] == await view.find("odd")


async def test_a_waiting_delivery_is_found_by_its_event(
    queue: DeliveryQueue, view: QueueView
) -> None:
    """With its attempts, and when it is due; an id that holds the one asked for is another."""
    await queue.add([delivery(name, ADA) for name in ("e1", "e11", "e2")])
    await queue.add([delivery("e3", BOB)])
    [claim] = await queue.claim(LEASE_MS, 1)
    noted = Attempts(2, 1_700_000_000_000, "no answer in time")
    await queue.failed(claim, noted, 3_600_000)

    [found] = await view.find(claim.event.decode().split('"id":"')[1].split('"')[0])
    assert noted == found.attempts
    assert abs(found.due_ms - time.time() * 1000 - 3_600_000) < 60_000
    [other] = await view.find("e3" if claim.subject == ADA else "e1")
    assert Attempts() == other.attempts
    assert ["e11"] == [each.event.id for each in await view.find("e11")]
    assert [] == await view.find("e4")


@pytest.mark.parametrize(("score", "due_ms"), [("inf", LAST_MS), ("-inf", 0), ("1e300", LAST_MS)])
async def test_a_forged_time_is_one_that_can_be_shown(
    queue: DeliveryQueue, view: QueueView, client: Redis, score: str, due_ms: int
) -> None:
    """The first or the last there is."""
    await queue.add([delivery("e1")])
    await client.zadd("gw:hooks:due:{crm}", {ADA: score})
    [found] = await view.find("e1")
    assert due_ms == found.due_ms
