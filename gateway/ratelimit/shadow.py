"""Limits with ``mode: shadow``: requests over them are counted and reported, and pass."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from gateway.core.limit import UNCHARGED, Limit, LimitState, Spend
from gateway.core.ports import Clock, Leases, Limiter, RequestLease

REPORT_EVERY_S: Final = 60.0
"""Least time between two lines of the log about one limit."""

_log = logging.getLogger(__name__)


def admitted(state: LimitState) -> LimitState:
    """Return the answer to a request that a shadow limit would have refused."""
    return state._replace(allowed=True, remaining=UNCHARGED, retry_after_s=0.0)


class ExcessReport:
    """
    Reports requests over a shadow limit: each to ``count``, and a line of the log in a minute.

    The line names no caller, which may be a credential.
    """

    def __init__(self, count: Callable[[str], object], clock: Clock = time.time) -> None:
        """``count`` gets the name of the limit."""
        self._count = count
        self._clock = clock
        self._unreported: dict[str, int] = {}
        """By limit: requests since the last line."""
        self._reported_at_s: dict[str, float] = {}

    def note(self, limit: Limit) -> None:
        """Report one request."""
        name = limit.name
        self._count(name)
        number = self._unreported[name] = self._unreported.get(name, 0) + 1
        now_s, last_s = self._clock(), self._reported_at_s.get(name)
        if last_s is None or not 0 <= now_s - last_s < REPORT_EVERY_S:
            _log.warning("limit %s (mode: shadow) would have refused %d requests", name, number)
            self._unreported[name], self._reported_at_s[name] = 0, now_s


class ShadowLimiter:
    """
    The port `Limiter` in front of another one: shadow limits never refuse.

    A shadow limit is charged apart from the limits beside it, so that it keeps none of them from
    being charged when it is used up.
    """

    def __init__(self, inner: Limiter, on_excess: Callable[[Limit], object]) -> None:
        """``on_excess`` is called for each request that a shadow limit would have refused."""
        self._inner = inner
        self._on_excess = on_excess

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        state = self._inner.spend_now(limit, caller)
        return self._passed(state) if state is not None and limit.is_shadow else state

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        state = await self._inner.spend(limit, caller)
        return self._passed(state) if limit.is_shadow else state

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        if any(each.limit.is_shadow for each in spends):
            return None  # which of the limits can be charged at once is known too late
        return self._inner.spend_all_now(spends)

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        watched = [each for each in spends if each.limit.is_shadow]
        if not watched:
            return await self._inner.spend_all(spends)
        enforced = [each for each in spends if not each.limit.is_shadow]
        charged = self._inner.spend_all(enforced) if enforced else _nothing()
        alone = (self._inner.spend_all([each]) for each in watched)
        states, *told = await asyncio.gather(charged, *alone)
        passed = [self._passed(state) for [state] in told]
        if len(states) < len(enforced):  # a refusal may tell of those alone that refuse
            return states + passed
        others, shadows = iter(states), iter(passed)
        return [next(shadows if each.limit.is_shadow else others) for each in spends]

    async def settle(self, spend: Spend) -> None:
        await self._inner.settle(spend)

    def _passed(self, state: LimitState) -> LimitState:
        if state.allowed:
            return state
        self._on_excess(state.limit)
        return admitted(state)


async def _nothing() -> list[LimitState]:
    return []


class ShadowLeases:
    """
    The port `Leases` in front of another one: shadow limits never refuse.

    A request over a shadow limit passes without a lease, so that an excess is what the limit would
    have refused.
    """

    def __init__(self, inner: Leases, on_excess: Callable[[Limit], object]) -> None:
        """``on_excess`` is called for each request that a shadow limit would have refused."""
        self._inner = inner
        self._on_excess = on_excess

    async def take(self, limit: Limit, caller: str) -> RequestLease:
        lease = await self._inner.take(limit, caller)
        if limit.is_shadow and not lease.state.allowed:
            self._on_excess(limit)
            lease.state = admitted(lease.state)
        return lease


_: tuple[type[Limiter], type[Leases]] = ShadowLimiter, ShadowLeases
