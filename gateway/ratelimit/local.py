"""Limits counted in this process alone: for when the store is out of reach."""

import time

from gateway.core.limit import Limit, LimitState
from gateway.core.ports import Clock, Limiter
from gateway.ratelimit.sliding_window import settle, states, window_number
from gateway.util.lru import LruCache

MAX_CALLERS = 100_000
"""Some 30 MB. The caller unused for longest is forgotten first, and starts afresh."""


class LocalLimiter:
    """The port `Limiter`, with the arithmetic of the shared one; each process counts for itself."""

    def __init__(self, clock: Clock = time.time, max_callers: int = MAX_CALLERS) -> None:
        self._clock = clock
        self._counts: LruCache[tuple[str, str], tuple[int, int, int]] = LruCache(max_callers)
        """By limit and caller: window, its count, and that of the window before it."""

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        """Never raises `StoreUnavailable`: there is no store."""
        [state] = self.charge(limit, caller, 1)
        return state

    def charge(self, limit: Limit, caller: str, asked: int) -> list[LimitState]:
        """Charge ``asked`` requests of one caller at once, first come first served."""
        now_ms = int(self._clock() * 1000)
        window = window_number(limit, now_ms)
        current, previous = self._seen(limit, caller, window)
        allowed = settle(limit, current, previous, asked, now_ms)
        current += allowed
        self._counts.put((limit.name, caller), (window, current, previous))
        return states(limit, current, previous, allowed, asked, now_ms)

    def _seen(self, limit: Limit, caller: str, window: int) -> tuple[int, int]:
        """Counts of ``window`` and of the one before it."""
        last, current, previous = self._counts.peek((limit.name, caller)) or (window, 0, 0)
        match window - last:
            case 0:
                return current, previous
            case 1:
                return 0, current
            case _:
                return 0, 0


_: type[Limiter] = LocalLimiter
