"""One timer for all connections, as one for each wait would cost 1 µs a request."""

import asyncio
from typing import Protocol


class HasDeadline(Protocol):
    """An object with a deadline, such as a connection."""

    def check_deadline(self, now_s: float) -> None:
        """Give up what was due before ``now_s`` (the loop's clock)."""


class Deadlines:
    """Checks all deadlines every ``period_s``, so each is met up to that much late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, period_s: float) -> None:
        self._loop = loop
        self.period_s = period_s
        """Seconds between two checks. A change counts from the next check on."""
        self._waiting: set[HasDeadline] = set()
        self._timer = loop.call_later(period_s, self._sweep)

    def watch(self, waiting: HasDeadline) -> None:
        """Check ``waiting`` from now on."""
        self._waiting.add(waiting)

    def forget(self, waiting: HasDeadline) -> None:
        """Check ``waiting`` no more."""
        self._waiting.discard(waiting)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self.period_s, self._sweep)
        now_s = self._loop.time()
        for waiting in tuple(self._waiting):
            waiting.check_deadline(now_s)
