"""Rate limits counted in this process alone, for use while the store is unavailable."""

import time

from gateway.core.limit import Limit, LimitState
from gateway.core.ports import Clock, Limiter
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.util.lru import LruCache

MAX_CALLERS = 100_000
"""Some 30 MB. The least recently seen caller is evicted first, and starts from zero."""

_LocalKey = tuple[str, str, str]
"""The algorithm and the name of a limit, and the caller."""


class LocalLimiter:
    """The port `Limiter`, with the arithmetic of the shared one; each process counts for itself."""

    def __init__(self, clock: Clock = time.time, max_callers: int = MAX_CALLERS) -> None:
        self._clock = clock
        self._counts: LruCache[_LocalKey, tuple[int, ...]] = LruCache(max_callers)
        """The numbers that the algorithm of each limit keeps of a caller."""

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        """Never raises `StoreUnavailable`: there is no store."""
        [state] = self.charge(limit, caller, 1)
        return state

    def charge(self, limit: Limit, caller: str, asked: int) -> list[LimitState]:
        """Charge ``asked`` requests of one caller at once, in order of arrival."""
        key = limit.algorithm, limit.name, caller
        now_ms = int(self._clock() * 1000)
        algorithm = ALGORITHMS[limit.algorithm]
        counts, answers = algorithm.charge(limit, self._counts.peek(key), asked, now_ms)
        self._counts.put(key, counts)
        return answers


_: type[Limiter] = LocalLimiter
