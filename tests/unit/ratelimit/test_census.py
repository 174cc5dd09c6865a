"""How many processes admit requests ahead: each of them is in the counts of all others."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ratelimit.census import BEAT_S, KEPT_S, LASTS_S, Census
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

FOR_S = 0.1


class Register:
    """``census.lua`` in Python."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.seen_s: dict[str, float] = {}
        self.asked = 0

    def count(self, keys: Sequence[str], args: Sequence[str | int | bytes]) -> list[int]:
        assert ["limit-processes"] == list(keys)
        name, kept_ms = str(args[0]), int(args[1])
        if not kept_ms:
            self.seen_s.pop(name, None)
            return [0, len(self.seen_s)]
        self.asked += 1
        now_s = self.clock()
        self.seen_s = {
            each: at_s for each, at_s in self.seen_s.items() if at_s > now_s - kept_ms / 1000
        }
        is_added = name not in self.seen_s
        self.seen_s[name] = now_s
        return [int(is_added), len(self.seen_s)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def register(clock: FakeClock) -> Register:
    return Register(clock)


@pytest.fixture
def store(clock: FakeClock, register: Register) -> FakeStore:
    return FakeStore(clock, {"census": register.count})


async def _ask(census: Census, store: FakeStore, clock: FakeClock) -> None:
    census.is_wanted = True
    census.ask(store, clock())
    await _ticks()


async def _ticks() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_a_process_is_counted_for_a_while_before_it_counts(
    store: FakeStore, clock: FakeClock
) -> None:
    """Until then the others may not know of it."""
    await _ask(Census(clock), store, clock)
    census = Census(clock)
    known = []
    for _ in range(4):
        await _ask(census, store, clock)
        known.append(census.processes(clock(), FOR_S))
        clock.now_s += BEAT_S
    assert [0, 0, 2, 2] == known
    assert 2 * BEAT_S == LASTS_S


async def test_a_process_that_is_alone_counts_at_once(store: FakeStore, clock: FakeClock) -> None:
    """There is no other whose count could lack it."""
    census = Census(clock)
    assert 0 == census.processes(clock(), FOR_S)
    await _ask(census, store, clock)
    assert 1 == census.processes(clock(), FOR_S)


async def test_a_count_is_used_for_a_short_time(store: FakeStore, clock: FakeClock) -> None:
    """As long as it holds for what is admitted by it."""
    census = Census(clock)
    for _ in range(3):
        await _ask(census, store, clock)
        clock.now_s += BEAT_S
    assert 1 == census.processes(clock(), FOR_S)
    clock.now_s += LASTS_S - BEAT_S - FOR_S
    assert 0 == census.processes(clock(), FOR_S)
    clock.now_s -= 3600
    assert 0 == census.processes(clock(), FOR_S)


async def test_the_store_is_asked_once_in_a_while_and_where_that_is_wanted(
    store: FakeStore, clock: FakeClock, register: Register
) -> None:
    """A process that admits no requests asks nothing."""
    census = Census(clock)
    for _ in range(50):
        census.ask(store, clock())
    assert 0 == register.asked
    for _ in range(50):
        await _ask(census, store, clock)
        clock.now_s += 0.05
    assert 5 == register.asked


async def test_a_process_that_was_counted_before_is_counted_at_once(
    store: FakeStore, clock: FakeClock
) -> None:
    """Unless it had nothing to ask for long: then the others may not know of it."""
    census, other = Census(clock), Census(clock)
    known = []
    for pause_s in (0.0, 100.0, KEPT_S + 1, LASTS_S):
        clock.now_s += pause_s
        await _ask(other, store, clock)
        await _ask(census, store, clock)
        known.append(census.processes(clock(), FOR_S))
    assert [0, 2, 0, 2] == known


async def test_a_process_that_ends_is_counted_no_more(
    store: FakeStore, clock: FakeClock, register: Register
) -> None:
    """One that never asked says nothing; a store that is down ends nothing."""
    census = Census(clock)
    await census.leave(store)
    assert [] == store.asked
    await _ask(census, store, clock)
    assert 1 == len(register.seen_s)
    await census.leave(store)
    assert not register.seen_s
    store.is_down = True
    await census.leave(store)


async def test_one_question_is_under_way_at_a_time(
    store: FakeStore, clock: FakeClock, register: Register
) -> None:
    """A store that hangs gets no more of them."""
    store.gate.clear()
    census = Census(clock)
    for _ in range(5):
        await _ask(census, store, clock)
        clock.now_s += 10
    assert 1 == register.asked
    store.gate.set()
    await _ticks()


async def test_a_store_that_fails_leaves_the_count_that_is_known(
    store: FakeStore, clock: FakeClock
) -> None:
    """For as long as that is used; the next answer is taken again."""
    census = Census(clock)
    for _ in range(3):
        await _ask(census, store, clock)
        clock.now_s += BEAT_S
    store.is_down = True
    await _ask(census, store, clock)
    assert 1 == census.processes(clock(), 0)
    clock.now_s += BEAT_S
    assert 0 == census.processes(clock(), 0)
    store.is_down = False
    await _ask(census, store, clock)
    assert 1 == census.processes(clock(), 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.01, 0.3, 0.5, 0.9, 1.0, 301.0])),
        max_size=60,
    )
)
async def test_no_process_counts_fewer_than_admit_requests(
    steps: list[tuple[int, float]],
) -> None:
    """Whenever they come and go, and however irregularly they ask."""
    clock = FakeClock()
    register = Register(clock)
    store = FakeStore(clock, {"census": register.count})
    processes = [Census(clock) for _ in range(5)]
    for who, later_s in steps:
        await _ask(processes[who], store, clock)
        clock.now_s += later_s
        counts = [each.processes(clock(), FOR_S) for each in processes]
        admitting = [count for count in counts if count]
        assert all(count >= len(admitting) for count in admitting)
