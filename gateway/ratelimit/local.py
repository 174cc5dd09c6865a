"""Rate limits counted in this process alone, for use while the store is unavailable."""

import time
from collections.abc import Sequence
from itertools import islice, repeat

from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Clock, Limiter
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.charge import merged

MAX_CALLERS = 100_000
"""
Some 20 MB, of all limits together.

Of the limit with most callers, those that were seen least recently are evicted first, and start
from zero.
"""
_EVICTED = 64
"""A part of the callers is evicted at a time: to find the first takes longer than to drop it."""

_Table = dict[str, tuple[int, ...]]
"""The numbers that the algorithm of a limit keeps, by caller; the least recently seen is first."""


class LocalLimiter:
    """
    The port `Limiter`, with the arithmetic of the shared one; each process counts for itself.

    It begins with what the store counted last, see `learn`.
    """

    def __init__(self, clock: Clock = time.time, max_callers: int = MAX_CALLERS) -> None:
        self._clock = clock
        self._max_callers = max_callers
        self._tables: dict[tuple[str, str], _Table] = {}
        """By the algorithm and the name of a limit."""

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    def spend_now(self, limit: Limit, caller: str) -> LimitState:
        [state] = self.charge(limit, caller, 1)
        return state

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        """Never raises `StoreUnavailable`: there is no store."""
        return self.spend_now(limit, caller)

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState]:
        return self.charge_all(spends, int(self._clock() * 1000))

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        """Never raises `StoreUnavailable`: there is no store."""
        return self.spend_all_now(spends)

    async def settle(self, spend: Spend) -> None:
        self.add_all([spend], int(self._clock() * 1000))

    def charge_all(self, spends: Sequence[Spend], now_ms: int) -> list[LimitState]:
        """Charge all of ``spends``, or none of them where one would exceed its limit."""
        distinct, places = merged(spends)
        fits = [
            cost
            <= ALGORITHMS[limit.algorithm].left(limit, self._counts(limit, caller, now_ms), now_ms)
            for limit, caller, cost in distinct
        ]
        if all(fits):
            self.add_all(distinct, now_ms)
        states = [
            ALGORITHMS[limit.algorithm].answer(
                limit, self._counts(limit, caller, now_ms), cost, now_ms, is_allowed=is_allowed
            )
            for (limit, caller, cost), is_allowed in zip(distinct, fits, strict=True)
        ]
        return [states[place] for place in places]

    def add_all(self, spends: Sequence[Spend], now_ms: int) -> None:
        """Charge ``spends``, whatever is left of their limits."""
        for limit, caller, cost in spends:
            table = self._table(limit)
            kept = ALGORITHMS[limit.algorithm].add(limit, table.pop(caller, None), cost, now_ms)
            table[caller] = kept
        self._evict()

    def _counts(self, limit: Limit, caller: str, now_ms: int) -> tuple[int, ...]:
        return ALGORITHMS[limit.algorithm].counts(limit, self._table(limit).get(caller), now_ms)

    def forget(self, rule: str, caller: str) -> None:
        """Begin from zero for a caller of the limit named ``rule``."""
        for (_, name), table in self._tables.items():
            if name == rule:
                table.pop(caller, None)

    def charge(
        self, limit: Limit, caller: str, asked: int, now_ms: int | None = None
    ) -> list[LimitState]:
        """
        Charge ``asked`` requests of one caller at once, in order of arrival.

        ``now_ms`` is the time by the clock of what has been learnt; our own where it is absent.
        """
        if now_ms is None:
            now_ms = int(self._clock() * 1000)
        algorithm, table = ALGORITHMS[limit.algorithm], self._table(limit)
        counts, answers = algorithm.charge(limit, table.get(caller), asked, now_ms)
        table.pop(caller, None)
        table[caller] = counts
        self._evict()
        return answers

    def learn(
        self, limit: Limit, callers: Sequence[str], counts: Sequence[tuple[int, ...]], now_ms: int
    ) -> None:
        """
        Keep what the store has counted of ``callers`` at ``now_ms``, by its clock.

        So a limit stays used up. Each caller is there once.
        """
        table = self._table(limit)
        known = list(map(table.pop, callers, repeat(None)))  # what is added again is the last
        learnt = ALGORITHMS[limit.algorithm].learn(limit, known, counts, now_ms)
        table.update(zip(callers, learnt, strict=True))
        if None in known:
            self._evict()

    def _table(self, limit: Limit) -> _Table:
        key = limit.algorithm, limit.name
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = {}
        return table

    def _evict(self) -> None:
        """Keep within the bound."""
        while (excess := len(self) - self._max_callers) > 0:
            table = max(self._tables.values(), key=len)
            for caller in list(islice(table, excess + self._max_callers // _EVICTED)):
                del table[caller]


_: type[Limiter] = LocalLimiter
