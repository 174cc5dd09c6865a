"""One timer for all connections, as one for each wait would cost 1 µs a request."""

import asyncio
from typing import Protocol

_PARTS = 8
"""Of a period: what was watched, or checked, in the same part is checked together."""


class HasDeadline(Protocol):
    """An object with a deadline, such as a connection."""

    def check_deadline(self, now_s: float) -> None:
        """Give up what was due before ``now_s`` (the loop's clock)."""


class Deadlines:
    """
    Checks all deadlines every ``period_s``, so each is met up to that much late.

    Not all at once: 10 000 connections would stop the loop for 8 ms.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, period_s: float) -> None:
        self._loop = loop
        self.period_s = period_s
        """Seconds between two checks. A change counts from the next check on."""
        self._waiting: dict[HasDeadline, float] = {}
        """When each was checked last, the longest ago first."""
        self._timer = loop.call_later(period_s / _PARTS, self._sweep)

    def watch(self, waiting: HasDeadline) -> None:
        """Check ``waiting`` from now on."""
        self.forget(waiting)  # so that it is the last, as its time is the latest
        self._waiting[waiting] = self._loop.time()

    def forget(self, waiting: HasDeadline) -> None:
        """Check ``waiting`` no more."""
        self._waiting.pop(waiting, None)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _sweep(self) -> None:
        part_s = self.period_s / _PARTS
        self._timer = self._loop.call_later(part_s, self._sweep)
        now_s = self._loop.time()
        for waiting in self._not_checked_since(now_s - self.period_s + part_s):
            if self._waiting.pop(waiting, None) is not None:  # else another's check has ended it
                self._waiting[waiting] = now_s
                waiting.check_deadline(now_s)

    def _not_checked_since(self, since_s: float) -> list[HasDeadline]:
        due: list[HasDeadline] = []
        for waiting, checked_s in self._waiting.items():
            if checked_s > since_s:
                break
            due.append(waiting)
        return due
