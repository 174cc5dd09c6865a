"""Deliveries of one endpoint: what is sent, how often, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import fakeredis
import pytest

from gateway.core.event import EventType
from gateway.core.ports import Script
from gateway.hooks.attempts import GIVEN_UP_S, HookAnswer, Verdict
from gateway.hooks.delivery import AT_ONCE, AttemptOutcome, Deliveries
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.first_login import FirstLogins
from gateway.hooks.queue import Attempts, Claim, Delivery, DeliveryQueue
from gateway.hooks.sender import Post
from gateway.store.redis import RedisStore
from tests.fakes.hooks import ADA, BOB, FakeSender, delivery, endpoint
from tests.fakes.memory import FakeClock

PAUSE_S = 10.0
OK, BUSY = HookAnswer(204, "status 204"), HookAnswer(503, "status 503")


class Desk:
    """Deliveries of one endpoint, over a store of its own."""

    def __init__(self, store: RedisStore, sender: FakeSender) -> None:
        self.queue = DeliveryQueue(store, "crm")
        self.sender = sender
        self.clock = FakeClock()
        self.seen: list[AttemptOutcome] = []
        self.buried: list[tuple[bytes, Attempts]] = []
        self.deliveries = Deliveries(
            endpoint(), self.queue, sender, self.bury, 1, self.note, self.clock, lambda: 0.5
        )
        self._noted = asyncio.Event()

    async def bury(self, _: HookEndpoint, claim: Claim, attempts: Attempts) -> None:
        self.buried.append((claim.event, attempts))

    def note(self, outcome: AttemptOutcome) -> None:
        self.seen.append(outcome)
        self._noted.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until it is so, after some attempt."""
        async with asyncio.timeout(20):
            while not is_so():
                self._noted.clear()
                await self._noted.wait()

    def is_left_alone(self) -> bool:
        """Whether the endpoint is, and no attempt is under way."""
        return not self.deliveries._breaker.is_closed and len(self.seen) == len(self.sender.sent)


@asynccontextmanager
async def desk(sender: FakeSender, *deliveries: Delivery) -> AsyncIterator[Desk]:
    """A desk whose queue holds ``deliveries``, at work."""
    store = RedisStore(fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer()), "gw:", 2)
    made = Desk(store, sender)
    await made.queue.add(deliveries)
    work = asyncio.create_task(made.deliveries.run(poll_s=0.01))
    try:
        yield made
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await store.aclose()


async def test_events_of_a_person_are_delivered_in_order() -> None:
    """Each once, and those of other people beside them."""
    names = ["e1", "e2", "e3"]
    deliveries = [delivery(name) for name in names] + [delivery("f1", BOB)]
    async with desk(FakeSender(), *deliveries) as at:
        await at.until(lambda: len(at.seen) == 4)
    assert names == [name for name in at.sender.sent if name in names]
    assert {Verdict.DELIVERED} == {one.verdict for one in at.seen}
    assert ("crm", "user.login", "status 204") == (
        at.seen[0].endpoint,
        at.seen[0].event_type,
        at.seen[0].reason,
    )


async def test_a_failure_holds_up_its_person_alone() -> None:
    """Later events of the same person wait, those of others do not."""
    sender = FakeSender(lambda name: BUSY if name == "e1" else OK)
    async with desk(sender, delivery("e1"), delivery("e2"), delivery("f1", BOB)) as at:
        await at.until(lambda: {"e1", "f1"} == set(sender.sent))
        assert [] == await at.queue.claim(1000, 10)
    assert "e2" not in sender.sent


async def test_a_receiver_that_is_gone_gets_nothing_more_of_that_event() -> None:
    """410 buries it at once; the next one is tried."""
    sender = FakeSender(lambda name: HookAnswer(410, "status 410") if name == "e1" else OK)
    async with desk(sender, delivery("e1"), delivery("e2")) as at:
        await at.until(lambda: len(at.seen) == 2)
    [(event, attempts)] = at.buried
    assert b'"e1"' in event
    assert (1, "status 410") == (attempts.made, attempts.last)
    assert [Verdict.DEAD, Verdict.DELIVERED] == [one.verdict for one in at.seen]


async def test_a_delivery_is_given_up_after_a_day() -> None:
    """It is kept among the dead letters, with how often it was tried."""
    sender = FakeSender(lambda _: BUSY)
    async with desk(sender) as at:
        day_before_ms = int((at.clock.now_s - GIVEN_UP_S) * 1000)
        noted = Attempts(12, day_before_ms, "status 503")
        await at.deliveries._note(Claim(ADA, 1, "1", delivery("e1").event, noted), BUSY)
    assert [(delivery("e1").event, Attempts(13, day_before_ms, "status 503"))] == at.buried


@pytest.mark.parametrize("record", [b"", b"no event", b"{}"])
async def test_what_is_no_event_is_buried(record: bytes) -> None:
    """It is never sent."""
    async with desk(FakeSender(), Delivery(ADA, "e1", record), delivery("e2")) as at:
        await at.until(lambda: len(at.seen) == 1)
    assert ["e2"] == at.sender.sent
    assert [(record, Attempts(0, 0, "no event"))] == at.buried


async def test_an_attempt_that_raises_is_a_failed_one() -> None:
    """It is noted, and so given up some day: what is behind it does not wait for ever."""

    def answer(name: str) -> HookAnswer:
        if name == "e1":
            raise ValueError(name)
        return OK

    async with desk(FakeSender(answer), delivery("e1"), delivery("f1", BOB)) as at:
        await at.until(lambda: len(at.seen) == 2)
    assert {Verdict.RETRY: "ValueError", Verdict.DELIVERED: "status 204"} == {
        one.verdict: one.reason for one in at.seen
    }


async def test_an_endpoint_that_fails_is_left_alone() -> None:
    """After five failures in a row there is one attempt in each pause."""
    people = [delivery(f"e{number}", f"person{number}") for number in range(20)]
    async with desk(FakeSender(lambda _: BUSY), *people) as at:
        await at.until(lambda: len(at.seen) >= 5)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(at.sender.sent) <= AT_ONCE
        at.clock.now_s += 11
        before = len(at.sender.sent)
        at.deliveries.wake()
        await at.until(lambda: len(at.sender.sent) > before)
        assert 1 == len(at.sender.sent) - before


async def test_a_look_at_an_empty_queue_is_no_trial() -> None:
    """What comes just after it is tried at once, when the pause is over."""
    people = [delivery(f"e{number}", f"person{number}") for number in range(5)]
    async with desk(FakeSender(lambda _: BUSY), *people) as at:
        await at.until(lambda: len(at.seen) == 5)
        at.clock.now_s += 11
        looks, claim = 0, at.queue.claim

        async def counted(lease_ms: int, most: int) -> list[Claim]:
            nonlocal looks
            found = await claim(lease_ms, most)
            looks += 1
            return found

        at.queue.claim = counted  # type: ignore[method-assign]
        at.deliveries.wake()
        async with asyncio.timeout(20):
            while not looks:
                await asyncio.sleep(0)
        await at.queue.add([delivery("f1", BOB)])
        at.deliveries.wake()
        await at.until(lambda: "f1" in at.sender.sent)


@pytest.mark.parametrize(
    ("answer", "state"),
    [(OK, b"done"), (BUSY, b"pending"), (HookAnswer(410, "status 410"), b"dead")],
)
async def test_the_marker_of_a_first_sign_in_says_how_far_it_is(
    answer: HookAnswer, state: bytes
) -> None:
    """It is running while the receiver works."""
    client = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
    store = RedisStore(client, "gw:", 2)
    marker = f"gw:first-login:{ADA}"
    await client.hset(marker, mapping={"state": "pending", "event": "e1"})
    seen: list[bytes | str | None] = []

    class Looking(FakeSender):
        """Looks at the marker while it sends."""

        async def send(self, post: Post) -> HookAnswer:
            seen.append(await client.hget(marker, "state"))
            return await super().send(post)

    made = Desk(store, Looking(lambda _: answer))
    made.deliveries._first_logins = FirstLogins(store, ["crm"], [], "host:1")
    await made.queue.add([delivery("e1", kind=EventType.FIRST_LOGIN)])
    work = asyncio.create_task(made.deliveries.run(poll_s=0.01))
    await made.until(lambda: len(made.seen) == 1)
    made.deliveries.stop()
    await work
    assert [b"running"] == seen
    assert state == await client.hget(marker, "state")
    await store.aclose()


# --- a dead endpoint for which many people wait ---------------------------------------------------


async def test_in_each_pause_another_person_has_a_turn() -> None:
    """One attempt, for the one who waits longest; when the endpoint is well, all are delivered."""
    is_well = False
    people = [f"did:ethr:0x{number:02}" for number in range(40)]
    sender = FakeSender(lambda _: OK if is_well else BUSY)
    async with desk(sender, *(delivery(f"e{who}", who) for who in people)) as at:
        await at.until(at.is_left_alone)
        tried = len(sender.sent)
        for _ in range(5):
            at.clock.now_s += PAUSE_S
            before = len(at.seen)
            await at.until(lambda: len(at.seen) > before)  # noqa: B023 (awaited here)
        assert len(set(sender.sent)) == len(sender.sent) == tried + 5
        is_well = True
        at.clock.now_s += PAUSE_S
        await at.until(lambda: len(at.seen) == len(people))
    assert {f"e{who}" for who in people} == set(sender.sent)


async def test_a_dead_endpoint_costs_the_store_nothing_in_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many wait for it; after the pause it is one claim, and what comes of it."""
    people = [f"did:ethr:0x{number:03}" for number in range(500)]
    sender = FakeSender(lambda _: BUSY)
    async with desk(sender, *(delivery(f"e{who}", who) for who in people)) as at:
        await at.until(at.is_left_alone)
        store, polls, asked = at.queue._store, asyncio.Event(), list[str]()
        run, wait, left = store.run, at.deliveries._wait, 20

        def noted(script: Script, *rest: Any) -> Awaitable[object]:
            asked.append(script.name)
            return run(script, *rest)

        async def counted(poll_s: float) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                polls.set()
            await wait(poll_s)

        monkeypatch.setattr(store, "run", noted)
        monkeypatch.setattr(at.deliveries, "_wait", counted)
        async with asyncio.timeout(20):
            await polls.wait()
        assert [] == asked
        before = len(at.seen)
        at.clock.now_s += PAUSE_S
        await at.until(lambda: len(at.seen) == before + 1)
        assert ["queue_claim", "queue_end"] == asked
