"""One timer for many deadlines."""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import cast

from gateway.util.deadlines import Deadlines


class Waiting:
    """Records that its deadline was checked."""

    def __init__(self) -> None:
        self.checked = asyncio.Event()

    def check_deadline(self, now_s: float) -> None:
        assert now_s <= asyncio.get_running_loop().time()
        self.checked.set()


async def test_deadlines_are_checked_until_forgotten() -> None:
    """Each watched object is checked again after every period."""
    deadlines, waiting = Deadlines(asyncio.get_running_loop(), 0.001), Waiting()
    deadlines.watch(waiting)
    for _ in range(2):
        await asyncio.wait_for(waiting.checked.wait(), 20)
        waiting.checked.clear()
    deadlines.forget(waiting)
    other = Waiting()
    deadlines.watch(other)
    await asyncio.wait_for(other.checked.wait(), 20)
    deadlines.close()

    assert not waiting.checked.is_set()


class Clock:
    """A loop whose time and timer the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._due: tuple[float, Callable[[], None]] = (0.0, lambda: None)

    def time(self) -> float:
        """Return the time."""
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Set the timer."""
        self._due = self.now_s + delay_s, call

    def pass_until(self, until_s: float) -> None:
        """Let time pass."""
        while self._due[0] <= until_s:
            self.now_s, call = self._due
            call()
        self.now_s = until_s


class Noted:
    """Notes when it was checked, and what else is forgotten then."""

    def __init__(self, forget: Callable[[], None] = lambda: None) -> None:
        self.at_s: list[float] = []
        self._forget = forget

    def check_deadline(self, now_s: float) -> None:
        self.at_s.append(now_s)
        self._forget()


def watching(clock: Clock, period_s: float) -> Deadlines:
    """Deadlines by ``clock``."""
    return Deadlines(cast("asyncio.AbstractEventLoop", clock), period_s)


def test_what_began_apart_is_checked_apart() -> None:
    """No check waits for more than a period, and not all are made at once."""
    clock = Clock()
    deadlines, all_noted = watching(clock, 8.0), [Noted() for _ in range(16)]
    for noted in all_noted:
        deadlines.watch(noted)
        clock.pass_until(clock.now_s + 0.5)
    clock.pass_until(200.0)
    for noted in all_noted:
        gaps = [later - earlier for earlier, later in pairwise(noted.at_s)]
        assert 7.0 <= min(gaps) <= max(gaps) <= 8.0
    assert max(Counter(at_s for noted in all_noted for at_s in noted.at_s).values()) <= 3


def test_a_check_may_end_what_is_due_with_it() -> None:
    """It is not checked any more, and the others are."""
    clock = Clock()
    deadlines = watching(clock, 8.0)
    second, third = Noted(), Noted()
    first = Noted(lambda: deadlines.forget(second))
    for noted in (first, second, third):
        deadlines.watch(noted)
    clock.pass_until(109.0)
    assert (1, 0, 1) == (len(first.at_s), len(second.at_s), len(third.at_s))


def test_a_new_period_counts_from_the_next_check_on() -> None:
    """A reload can make it longer or shorter."""
    clock, noted = Clock(), Noted()
    deadlines = watching(clock, 80.0)
    deadlines.watch(noted)
    deadlines.period_s = 8.0
    clock.pass_until(200.0)
    assert noted.at_s[0] <= 110.0
    assert len(noted.at_s) >= 10


def test_what_is_watched_twice_is_checked_once() -> None:
    """It holds no other up."""
    clock, twice, other = Clock(), Noted(), Noted()
    deadlines = watching(clock, 8.0)
    deadlines.watch(twice)
    deadlines.watch(other)
    clock.pass_until(106.0)
    deadlines.watch(twice)
    clock.pass_until(109.0)
    assert (0, 1) == (len(twice.at_s), len(other.at_s))
