"""Deadlines that do not count the time for which the event loop itself was stalled."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

LOOKS = 5
"""How often a deadline is looked at before it expires: a late look shows that the loop stalled."""

LATE_S = 0.005
"""A look that is later than this was held up; the loop's time counts in whole milliseconds."""

LONGEST = 4
"""No deadline is put off beyond this many times its length, but for one last look."""


@dataclass(slots=True)
class Deadline:
    """When an item expires, in the loop's time."""

    since_s: float
    due_s: float
    is_last_look: bool = False

    def is_over(self, now_s: float, late_s: float, timeout_s: float) -> bool:
        """
        Whether it has expired at ``now_s``, where the look at it is ``late_s`` late.

        That time is added to it. After a late look there is another one: what has arrived
        meanwhile is read before that.
        """
        is_late = late_s > LATE_S
        if is_late:
            held_up_s = min(late_s, now_s - self.since_s)
            self.due_s = min(self.due_s + held_up_s, self.since_s + timeout_s * LONGEST)
        if now_s < self.due_s:
            return False
        if is_late and not self.is_last_look:
            self.is_last_look = True
            return False
        return True


class FairDeadlines(Generic[T]):
    """
    Calls ``expire`` with each item for which the loop has run for ``timeout_s`` since its `begin`.

    While the loop is stalled it reads no socket, so an answer that has arrived would be taken for
    one that is late. One timer serves all items, and there is none while there is no item: an item
    that is over soon costs less than 1 µs.
    """

    def __init__(self, timeout_s: float, expire: Callable[[T], object]) -> None:
        self._timeout_s = timeout_s
        self._expire = expire
        self._begun_s: dict[T, float] = {}
        """Items that began after the last look, by the loop's time."""
        self._looked_at: dict[T, Deadline] = {}
        self._look_at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, item: T, loop: asyncio.AbstractEventLoop) -> None:
        """Watch ``item``, until `end`."""
        self._begun_s[item] = now_s = loop.time()
        if self._timer is None:
            self._look_later(loop, now_s)

    def end(self, item: T) -> None:
        """Watch ``item`` no more; does nothing where it has expired, or never began."""
        if self._begun_s.pop(item, None) is None:
            self._looked_at.pop(item, None)

    def close(self) -> None:
        """Watch nothing more."""
        self._begun_s.clear()
        self._looked_at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self, loop: asyncio.AbstractEventLoop, now_s: float) -> None:
        """Items that begin until then are due after it."""
        step_s = self._timeout_s / LOOKS
        due_s = min((each.due_s for each in self._looked_at.values()), default=inf)
        self._look_at_s = min(now_s + step_s, due_s) if due_s > now_s else now_s + step_s
        self._timer = loop.call_at(self._look_at_s, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now_s, self._timer = loop.time(), None
        late_s = now_s - self._look_at_s
        for item, begun_s in self._begun_s.items():
            self._looked_at[item] = Deadline(begun_s, begun_s + self._timeout_s)
        self._begun_s.clear()
        over = [
            item
            for item, deadline in self._looked_at.items()
            if deadline.is_over(now_s, late_s, self._timeout_s)
        ]
        for item in over:
            self.end(item)
        if self._looked_at:
            self._look_later(loop, now_s)
        for item in over:
            try:
                self._expire(item)
            except Exception as error:  # noqa: BLE001 (the other items expire as well)
                loop.call_exception_handler({"message": "expiry failed", "exception": error})
