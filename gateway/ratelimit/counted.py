"""What limits decide, counted by their names."""

from collections.abc import Sequence

from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.limit_counts import LimitCounts
from gateway.core.ports import Leases, Limiter, RequestLease

CountsByLimit = dict[str, LimitCounts]
"""By the name of the limit."""


class CountedLimiter:
    """The port `Limiter` in front of all others."""

    def __init__(self, inner: Limiter, counted: CountsByLimit) -> None:
        self._inner = inner
        self._spend_now = inner.spend_now
        self._counted = counted

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        state = self._spend_now(limit, caller)
        if state is not None:
            counts = self._counted.get(limit.name)
            if counts is None or limit.is_shadow:
                _counts(self._counted, limit.name).note(state)
            elif state.allowed:  # most; a call would take as long as all of this
                counts.allowed += 1
            else:
                counts.refused += 1
        return state

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        state = await self._inner.spend(limit, caller)
        _counts(self._counted, limit.name).note(state)
        return state

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        states = self._inner.spend_all_now(spends)
        if states is not None:
            self._note(states)
        return states

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        states = await self._inner.spend_all(spends)
        self._note(states)
        return states

    async def settle(self, spend: Spend) -> None:
        await self._inner.settle(spend)

    def _note(self, states: Sequence[LimitState]) -> None:
        """Count the states of one request: where one refuses, nothing is charged to the others."""
        is_refused = not all(state.allowed for state in states)
        for state in states:
            if not (is_refused and state.allowed):
                _counts(self._counted, state.limit.name).note(state)


class CountedLeases:
    """The port `Leases` in front of all others."""

    def __init__(self, inner: Leases, counted: CountsByLimit) -> None:
        self._inner = inner
        self._counted = counted

    async def take(self, limit: Limit, caller: str) -> RequestLease:
        lease = await self._inner.take(limit, caller)
        _counts(self._counted, limit.name).note(lease.state)
        return lease


def _counts(counted: CountsByLimit, name: str) -> LimitCounts:
    found = counted.get(name)
    if found is None:
        found = counted[name] = LimitCounts()
    return found


_: tuple[type[Limiter], type[Leases]] = CountedLimiter, CountedLeases
