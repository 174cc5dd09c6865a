"""One timer for all connections, instead of one for each wait (a timer costs 1 µs a request)."""

import asyncio
from typing import Protocol


class HasDeadline(Protocol):
    """Something that must not wait for ever."""

    def check_deadline(self, now_s: float) -> None:
        """Give up what should have happened before ``now_s`` (the loop's clock)."""


class Deadlines:
    """Looks at all that waits, every ``period_s``: a deadline is met up to that much late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, period_s: float) -> None:
        self._loop = loop
        self.period_s = period_s
        """May be changed: it is so from the next look on."""
        self._waiting: set[HasDeadline] = set()
        self._timer = loop.call_later(period_s, self._sweep)

    def watch(self, waiting: HasDeadline) -> None:
        """Look at ``waiting`` from now on."""
        self._waiting.add(waiting)

    def forget(self, waiting: HasDeadline) -> None:
        """Look at it no more."""
        self._waiting.discard(waiting)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self.period_s, self._sweep)
        now_s = self._loop.time()
        for waiting in tuple(self._waiting):
            waiting.check_deadline(now_s)
