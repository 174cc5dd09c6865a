"""Rate limits counted in this process alone, for use while the store is unavailable."""

import time
from collections.abc import Sequence

from gateway.core.limit import Limit, LimitState
from gateway.core.ports import Clock, Limiter
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.util.lru import LruCache

MAX_CALLERS = 100_000
"""Some 40 MB. The least recently seen caller is evicted first, and starts from zero."""

_LocalKey = tuple[str, str, str]
"""The algorithm and the name of a limit, and the caller."""


class LocalLimiter:
    """
    The port `Limiter`, with the arithmetic of the shared one; each process counts for itself.

    It begins with what the store counted last, see `learn`.
    """

    def __init__(self, clock: Clock = time.time, max_callers: int = MAX_CALLERS) -> None:
        self._clock = clock
        self._counts: LruCache[_LocalKey, tuple[int, ...]] = LruCache(max_callers)
        """The numbers that the algorithm of each limit keeps of a caller."""

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        """Never raises `StoreUnavailable`: there is no store."""
        [state] = self.charge(limit, caller, 1)
        return state

    def charge(
        self, limit: Limit, caller: str, asked: int, now_ms: int | None = None
    ) -> list[LimitState]:
        """
        Charge ``asked`` requests of one caller at once, in order of arrival.

        ``now_ms`` is the time by the clock of what has been learnt; our own where it is absent.
        """
        key = limit.algorithm, limit.name, caller
        if now_ms is None:
            now_ms = int(self._clock() * 1000)
        algorithm = ALGORITHMS[limit.algorithm]
        counts, answers = algorithm.charge(limit, self._counts.peek(key), asked, now_ms)
        self._counts.put(key, counts)
        return answers

    def learn(self, limit: Limit, caller: str, counts: Sequence[int], now_ms: int) -> None:
        """Keep what the store has counted at ``now_ms``, by its clock: a limit stays used up."""
        key = limit.algorithm, limit.name, caller
        known = self._counts.peek(key)
        self._counts.put(key, ALGORITHMS[limit.algorithm].learn(limit, known, counts, now_ms))


_: type[Limiter] = LocalLimiter
