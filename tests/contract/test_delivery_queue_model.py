"""
The queue of deliveries beside a model of it: workers that die, are slow, or do not hear replies.

Whatever the order of events: a person's deliveries end in the order in which they were added, each
once, no two workers hold the same person at one time, and at last everything is delivered.
"""

import asyncio
import time
from typing import Any

import fakeredis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.hooks.queue import Attempts, Claim, DeliveryQueue
from gateway.store.redis import RedisStore
from tests.fakes.hooks import delivery

LEASE_MS = 10_000
SUBJECTS = ["ann", "bob", "cy"]
WORKERS = range(3)


class QueueModel(RuleBasedStateMachine):
    """Three workers and three people."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now_s = time.time()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(time, "time", lambda: self.now_s)  # the clock of fakeredis
        self.store = RedisStore(
            fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer()), "gw:", timeout_s=60
        )
        self.queue = DeliveryQueue(self.store, "crm")
        self.added: dict[str, list[bytes]] = {subject: [] for subject in SUBJECTS}
        self.ended: dict[str, list[bytes]] = {subject: [] for subject in SUBJECTS}
        self.held: dict[int, tuple[Claim, float]] = {}
        """The claims of workers, and when their leases end."""

    def done(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(subject=st.sampled_from(SUBJECTS), is_repeated=st.booleans())
    def add(self, subject: str, is_repeated: bool) -> None:
        """An event is recorded; the one who hands it on may do so twice."""
        new = delivery(f"{subject}-{len(self.added[subject])}", subject)
        self.added[subject].append(new.event)
        for _ in range(1 + is_repeated):
            assert [True] == self.done(self.queue.add([new]))

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: int) -> None:
        """A worker that is free, or died with a claim and was started again, claims one."""
        self.held.pop(worker, None)
        for claim in self.done(self.queue.claim(LEASE_MS, 1)):
            holders = [c for c, ends_s in self.held.values() if ends_s > self.now_s]
            assert claim.subject not in {other.subject for other in holders}
            left = self.added[claim.subject][len(self.ended[claim.subject]) :]
            assert claim.event == left[0], "the first that has not ended"
            self.held[worker] = claim, self.now_s + LEASE_MS / 1000

    @precondition(lambda self: self.held)
    @rule(data=st.data(), is_heard=st.booleans())
    def deliver(self, data: st.DataObject, is_heard: bool) -> None:
        """A worker ends its claim; it may not hear that it has, and does so again."""
        worker = data.draw(st.sampled_from(sorted(self.held)))
        claim, _ = self.held[worker]
        if self.done(self.queue.delivered(claim)):
            self.ended[claim.subject].append(claim.event)
        self.held[worker] = claim, self.now_s  # it is over, whatever the worker knows
        if is_heard:
            del self.held[worker]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), wait_ms=st.integers(0, 20_000))
    def fail(self, data: st.DataObject, wait_ms: int) -> None:
        """An attempt fails: the delivery waits."""
        worker = data.draw(st.sampled_from(sorted(self.held)))
        claim, _ = self.held.pop(worker)
        self.done(self.queue.failed(claim, Attempts(claim.attempts.made + 1, 1, "x"), wait_ms))

    @rule(by_s=st.integers(1, 15))
    def wait(self, by_s: int) -> None:
        """Time passes: leases end."""
        self.now_s += by_s

    @invariant()
    def deliveries_end_in_order_and_once(self) -> None:
        """What has ended is how the list of what was added begins."""
        for subject, ended in self.ended.items():
            assert self.added[subject][: len(ended)] == ended

    def teardown(self) -> None:
        """Whatever has happened, a single worker delivers all that is left."""
        try:
            self.now_s += 3600
            while claims := self.done(self.queue.claim(LEASE_MS, 10)):
                for claim in claims:
                    assert self.done(self.queue.delivered(claim))
                    self.ended[claim.subject].append(claim.event)
            assert self.added == self.ended
        finally:
            self.patch.undo()
            self.done(self.store.aclose())
            self.loop.close()


TestQueueModel = QueueModel.TestCase
TestQueueModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
