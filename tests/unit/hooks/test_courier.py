"""The courier: from the outbox to the endpoints, until it is stopped."""

import asyncio
from collections.abc import AsyncIterator

import fakeredis
import pytest
import pytest_asyncio

from gateway.hooks.attempts import HookAnswer
from gateway.hooks.courier import Courier
from gateway.hooks.delivery import Deliveries
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.fan_out import FanOut
from gateway.hooks.outbox import Outbox
from gateway.hooks.queue import Attempts, Claim, DeliveryQueue
from gateway.hooks.queue_view import QueueView
from gateway.hooks.sender import Post
from gateway.store.redis import RedisStore
from tests.fakes.hooks import BOB, delivery, endpoint, event

NEVER_S = 3600.0
SOON_S = 20


class SlowSender:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.changed = asyncio.Event()

    async def send(self, post: Post) -> HookAnswer:
        self.sent.append(post.fields["webhook-id"])
        self.changed.set()
        await self.may_answer.wait()
        return HookAnswer(204, "status 204")

    async def has_sent(self, *names: str) -> None:
        async with asyncio.timeout(SOON_S):
            while set(names) != set(self.sent):
                self.changed.clear()
                await self.changed.wait()


async def bury(_: HookEndpoint, __: Claim, ___: Attempts) -> None:
    raise AssertionError


class Desk:
    """A courier of one endpoint, over a store of its own, that polls never or often."""

    def __init__(self, store: RedisStore, poll_s: float = NEVER_S) -> None:
        self.store = store
        self.outbox = Outbox(store, "gw:")
        self.sender = SlowSender()
        self.queue = DeliveryQueue(store, "crm")
        deliveries = Deliveries(endpoint(), self.queue, self.sender, bury, 1)
        fan_out = FanOut(self.outbox, {endpoint(): self.queue}, deliveries.wake)
        self.courier = Courier(self.outbox, fan_out, [deliveries], poll_s)

    async def record(self, *events: bytes) -> None:
        await self.outbox.record(events, are_sampled=False)
        self.courier.wake()


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    store = RedisStore(fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer()), "gw:", 2)
    made = Desk(store)
    yield made
    await made.courier.aclose()
    await store.aclose()


async def test_what_is_recorded_is_delivered_at_once(desk: Desk) -> None:
    """Without a poll: it is woken. What was there before it started, too."""
    await desk.record(event("e1"))
    desk.courier.start()
    desk.courier.start()
    await desk.sender.has_sent("e1")
    await desk.record(event("e2"), event("f1", BOB))
    await desk.sender.has_sent("e1", "e2", "f1")


async def test_what_is_recorded_at_one_time_is_handed_on_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the turn of the event loop in which a request has recorded it, but after."""
    monkeypatch.setattr("gateway.hooks.courier.SOON_S", 0.0)
    desk.courier.start()
    await desk.record(event("e0"))
    await desk.sender.has_sent("e0")
    step, steps = desk.courier._fan_out.step, []

    async def counted() -> bool:
        steps.append(len((await desk.outbox.unread(10)).events))
        return await step()

    monkeypatch.setattr(desk.courier._fan_out, "step", counted)
    both = [event("e1", BOB), event("e2", "did:ethr:0xC")]
    await desk.outbox.record(both, are_sampled=False)
    for _ in both:
        desk.courier.wake_soon()
    assert [] == steps
    await desk.sender.has_sent("e0", "e1", "e2")
    assert 2 == steps[0]
    assert 1 == len([found for found in steps if found])


async def test_attempts_end_before_it_does(desk: Desk) -> None:
    """Nothing is begun meanwhile."""
    desk.courier.start()
    desk.sender.may_answer.clear()
    await desk.record(event("e1"))
    await desk.sender.has_sent("e1")
    ending = asyncio.create_task(desk.courier.aclose())
    await asyncio.sleep(0)
    await desk.record(event("f1", BOB))
    assert not ending.done()
    desk.sender.may_answer.set()
    await ending
    assert ["e1"] == desk.sender.sent
    assert [] == await desk.queue.claim(1000, 10), "the one is delivered, the other in the outbox"
    assert 1 == len((await desk.outbox.unread(10)).events)


async def test_an_attempt_does_not_hold_up_the_end_of_the_process(desk: Desk) -> None:
    """It is cut off; its delivery is still there, and comes again when its lease ends."""
    desk.courier.start()
    desk.sender.may_answer.clear()
    await desk.record(event("e1"))
    await desk.sender.has_sent("e1")
    desk.courier.end_soon(within_s=0)
    async with asyncio.timeout(SOON_S):
        await desk.courier.aclose()
    state = await QueueView(desk.store, "crm").state()
    assert (1, 0) == (state.waiting, state.due)


async def test_an_error_does_not_end_deliveries(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and what was to be handed on is when it is woken again."""
    step, failed = desk.courier._fan_out.step, asyncio.Event()

    async def failing() -> bool:
        failed.set()
        raise LookupError

    monkeypatch.setattr(desk.courier._fan_out, "step", failing)
    desk.courier.start()
    await failed.wait()
    monkeypatch.setattr(desk.courier._fan_out, "step", step)
    await desk.record(event("e1"))
    await desk.sender.has_sent("e1")
    assert ["deliveries were interrupted, and go on"] == [
        record.getMessage() for record in caplog.records
    ]


async def test_one_that_was_stopped_does_not_start(desk: Desk) -> None:
    """A config that was replaced before it served."""
    desk.courier.stop()
    desk.courier.start()
    await desk.record(event("e1"))
    await desk.courier.aclose()
    assert [] == desk.sender.sent


async def test_outboxes_are_swept_now_and_then(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what other gateways have left."""
    swept = asyncio.Event()

    async def sweep() -> None:
        swept.set()

    monkeypatch.setattr("gateway.hooks.courier.SWEEP_S", 0.0)
    monkeypatch.setattr(desk.outbox, "sweep", sweep)
    desk.courier.start()
    async with asyncio.timeout(SOON_S):
        await swept.wait()


async def test_outboxes_are_not_swept_at_each_step(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep asks the store: it is for once in half a minute."""
    swept: list[None] = []

    async def sweep() -> None:
        swept.append(None)

    monkeypatch.setattr(desk.outbox, "sweep", sweep)
    desk.courier.start()
    await desk.record(event("e1"))
    await desk.sender.has_sent("e1")
    await desk.courier.aclose()
    assert [] == swept


async def test_what_a_command_has_added_to_a_queue_is_delivered_at_once(desk: Desk) -> None:
    """A replay writes to no outbox: `wake` alone finds nothing new."""
    desk.courier.start()
    await desk.record(event("e1"))
    await desk.sender.has_sent("e1")
    await desk.queue.add([delivery("e2", BOB)])
    desk.courier.wake_all()
    await desk.sender.has_sent("e1", "e2")


async def test_what_is_recorded_after_a_reload_wakes_the_next_courier(desk: Desk) -> None:
    """By exchanges that were under way: each is of the config with which it began."""
    after = Desk(desk.store)
    desk.courier.start()
    desk.courier.hand_over(after.courier)
    await desk.outbox.record([event("e1")], are_sampled=False)
    after.courier.start()
    await after.sender.has_sent("e1")  # it waits now: what comes later has to wake it
    await desk.outbox.record([event("e2")], are_sampled=False)
    desk.courier.wake_soon()
    await after.sender.has_sent("e1", "e2")
    assert [] == desk.sender.sent
    await after.courier.aclose()


async def test_what_another_process_has_recorded_is_found_by_polling(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing wakes the courier; that it polls in vain before is no error."""
    polling = Desk(desk.store, poll_s=0.001)
    polling.courier.start()
    for name in ("e1", "e2"):
        await desk.outbox.record([event(name)], are_sampled=False)
        await polling.sender.has_sent(*polling.sender.sent, name)
    await polling.courier.aclose()
    assert [] == caplog.messages
