"""Limits of which some are exact and others approximate."""

from collections.abc import Sequence

from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Limiter
from gateway.ratelimit.approximate import ApproximateLimiter


class MixedLimiter:
    """
    The port `Limiter`: each limit is counted as its ``approximate`` says.

    Of several, the approximate ones are charged first: that needs no trip, and is easily undone
    where an exact one refuses.
    """

    def __init__(self, exact: Limiter, approximate: ApproximateLimiter) -> None:
        self._exact = exact
        self._approximate = approximate

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        if limit.is_approximate:
            return self._approximate.spend_now(limit, caller)
        return self._exact.spend_now(limit, caller)

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        if limit.is_approximate:
            return await self._approximate.spend(limit, caller)
        return await self._exact.spend(limit, caller)

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        approximate, exact = _parted(spends)
        if not approximate:
            return self._exact.spend_all_now(spends)
        states = self._approximate.spend_all_now(approximate)
        if states is None or not exact or not _are_allowed(states):
            return states
        others = self._exact.spend_all_now(exact)
        if others is None or not _are_allowed(others):
            self._approximate.give_back(approximate)
            return others
        return _in_order(spends, states, others)

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        approximate, exact = _parted(spends)
        if not approximate:
            return await self._exact.spend_all(spends)
        states = await self._approximate.spend_all(approximate)
        if not _are_allowed(states):
            others = [LimitState(each.limit, True, 0, 0.0, 0.0) for each in exact]
            return _in_order(spends, states, others)
        try:
            others = await self._exact.spend_all(exact) if exact else []
        except BaseException:
            self._approximate.give_back(approximate)
            raise
        if not _are_allowed(others):
            self._approximate.give_back(approximate)
        return _in_order(spends, states, others)

    async def settle(self, spend: Spend) -> None:
        await (self._approximate if spend.limit.is_approximate else self._exact).settle(spend)


def _parted(spends: Sequence[Spend]) -> tuple[list[Spend], list[Spend]]:
    """Return those of approximate limits, and the others."""
    approximate = [each for each in spends if each.limit.is_approximate]
    return approximate, [each for each in spends if not each.limit.is_approximate]


def _are_allowed(states: Sequence[LimitState]) -> bool:
    return all(state.allowed for state in states)


def _in_order(
    spends: Sequence[Spend], approximate: Sequence[LimitState], exact: Sequence[LimitState]
) -> list[LimitState]:
    """Return the states in the order of ``spends``."""
    of_approximate, of_exact = iter(approximate), iter(exact)
    return [next(of_approximate if each.limit.is_approximate else of_exact) for each in spends]


_: type[Limiter] = MixedLimiter
