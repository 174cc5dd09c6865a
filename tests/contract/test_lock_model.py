"""
Locks beside a model of them: holders that die, are slow, or do not hear replies; a lost store.

Whatever the order of events: no two holders have one lock at one time, the fences of a name rise,
and a holder whose lease has ended changes nothing.
"""

import asyncio
import time
from typing import Any, NamedTuple

import fakeredis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from gateway.store.lock import LockLease, LockRefused, Locks
from gateway.store.redis import RedisStore

NAMES = ["mail", "row"]
SPACES = ["service:shop", "service:crm"]
HOLDERS = ["ann", "bob", "cy"]
LEASES_MS = st.integers(1, 20_000)
PLACES = st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES))

Place = tuple[str, str]


class Held(NamedTuple):
    """What a holder was told, or could have been told, of its lock."""

    holder: str
    fence: int
    ends_ms: int


class LockModel(RuleBasedStateMachine):
    """Three holders, and two names in each of two spaces."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now_ms = int(time.time() * 1000)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(time, "time", lambda: self.now_ms / 1000)  # the clock of fakeredis
        self.server = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
        self.store = RedisStore(self.server, "gw:", timeout_s=60)
        self.locks = {space: Locks(self.store, space) for space in SPACES}
        self.held: dict[Place, Held] = {}
        """By the model: the latest holder of each lock."""
        self.told: list[tuple[Place, Held]] = []
        """Every lease that a holder may believe to have."""

    def done(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def holder_of(self, place: Place) -> Held | None:
        """Return who holds a lock now, by the model."""
        held = self.held.get(place)
        return held if held is not None and held.ends_ms > self.now_ms else None

    @rule(place=PLACES, holder=st.sampled_from(HOLDERS), lease_ms=LEASES_MS)
    def acquire(self, place: Place, holder: str, lease_ms: int) -> None:
        """A holder acquires a lock; one that did not hear the reply does so again."""
        space, name = place
        found = self.done(self.locks[space].acquire(name, holder, lease_ms))
        holding = self.holder_of(place)
        if holding is not None and holding.holder != holder:
            assert LockRefused(holding.ends_ms - self.now_ms) == found
            return
        assert isinstance(found, LockLease)
        assert self.now_ms + lease_ms == found.ends_at_ms
        before = self.held.get(place)
        if holding is not None:
            assert holding.fence == found.fence
        elif before is not None:
            assert found.fence > before.fence
        self.held[place] = Held(holder, found.fence, found.ends_at_ms)
        self.told.append((place, self.held[place]))

    @precondition(lambda self: self.told)
    @rule(data=st.data(), lease_ms=LEASES_MS)
    def renew(self, data: st.DataObject, lease_ms: int) -> None:
        """A holder renews what it may have, however late."""
        (space, name), believed = data.draw(st.sampled_from(self.told))
        found = self.done(self.locks[space].renew(name, believed.holder, believed.fence, lease_ms))
        holding = self.holder_of((space, name))
        if holding is None or holding.fence != believed.fence:
            assert found is None
        else:
            assert LockLease(believed.fence, self.now_ms + lease_ms) == found
            self.held[space, name] = holding._replace(ends_ms=self.now_ms + lease_ms)

    @precondition(lambda self: self.told)
    @rule(data=st.data(), is_heard=st.booleans())
    def release(self, data: st.DataObject, is_heard: bool) -> None:
        """A holder releases what it may have; it may not hear that it has."""
        told = data.draw(st.sampled_from(self.told))
        (space, name), believed = told
        found = self.done(self.locks[space].release(name, believed.holder, believed.fence))
        holding = self.holder_of((space, name))
        is_holder = holding is not None and holding.fence == believed.fence
        assert is_holder == found
        if is_holder:
            self.held[space, name] = believed._replace(ends_ms=self.now_ms)
        if is_heard:
            self.told.remove(told)

    @rule(by_ms=st.integers(0, 15_000))
    def wait(self, by_ms: int) -> None:
        """Time passes: leases end."""
        self.now_ms += by_ms

    @rule()
    def lose(self) -> None:
        """The server is back a second later, without what it held: leases end early."""
        self.now_ms += 1000
        self.done(self.server.flushall())
        for place, held in self.held.items():
            self.held[place] = held._replace(ends_ms=min(held.ends_ms, self.now_ms))

    def teardown(self) -> None:
        """Whatever has happened, each lock can be had when the last lease has ended."""
        try:
            self.now_ms += 20_000
            for space, locks in self.locks.items():
                for name in NAMES:
                    found = self.done(locks.acquire(name, "last", 1))
                    assert isinstance(found, LockLease)
                    before = self.held.get((space, name))
                    assert before is None or found.fence > before.fence
        finally:
            self.patch.undo()
            self.done(self.store.aclose())
            self.loop.close()


TestLockModel = LockModel.TestCase
TestLockModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
