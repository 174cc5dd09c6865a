"""Limits that are looked at: what a request would be answered, without charging it."""

from collections.abc import Callable, Sequence
from typing import Final, cast

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Leases, Limiter, RequestLease, Script, Store
from gateway.core.replies import is_count
from gateway.ratelimit import concurrency
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.counts import StoredCounts
from gateway.ratelimit.leases import keys_of

HELD: Final = Script.packaged("gateway.explain", "held", is_count)
COUNTS: Final = frozenset({HELD.name, *(algorithm.name for algorithm in ALGORITHMS.values())})
"""Names of the scripts that counts are read by; they charge no request."""

UNKNOWN_S: Final = -1.0
"""In place of the end of a window, where the store did not answer."""


def without_store(limit: Limit, error: StoreUnavailable) -> LimitState:
    """
    Return how a request is answered while the store is down.

    ``local``: each gateway counts on in its own process, and what it has counted is not known here.
    Raises ``error`` for a limit that fails closed.
    """
    if limit.on_store_failure == "closed":
        raise error
    return LimitState(limit, True, limit.capacity - 1, UNKNOWN_S, 0.0)


class PeekingLimiter:
    """The port `Limiter` that charges nothing: it says what a charge would be answered."""

    def __init__(self, store: Store) -> None:
        self._counts = StoredCounts(store)

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:  # noqa: ARG002 (of the port)
        return None

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        return await self._state(Spend(limit, caller))

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:  # noqa: ARG002 (of the port)
        return None

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        return [await self._state(spend) for spend in spends]

    async def settle(self, spend: Spend) -> None:
        """Charge nothing."""

    async def _state(self, spend: Spend) -> LimitState:
        limit, caller, cost = spend
        try:
            state = await self._counts.state(limit, caller)
        except StoreUnavailable as error:
            return without_store(limit, error)
        if state.allowed and state.remaining >= cost:
            return state._replace(remaining=state.remaining - cost, retry_after_s=0.0)
        retry_after_s = state.retry_after_s or state.reset_s
        return state._replace(allowed=False, retry_after_s=retry_after_s)


class _NoLease:
    """A place that was not taken."""

    def __init__(self, state: LimitState) -> None:
        self.state = state

    def release(self) -> None:
        """Release nothing."""


class PeekingLeases:
    """The port `Leases` that takes none: it says whether there is a place."""

    def __init__(self, store: Store, own: Callable[[], int] = lambda: 0) -> None:
        """``own`` returns how many of the places that are taken are the request's own."""
        self._store = store
        self._own = own

    async def take(self, limit: Limit, caller: str) -> RequestLease:
        return _NoLease(await self._state(limit, caller))

    async def _state(self, limit: Limit, caller: str) -> LimitState:
        try:
            reply = await self._store.run(HELD, keys_of(limit, caller), [])
        except StoreUnavailable as error:
            return without_store(limit, error)
        held = max(0, cast("int", reply) - self._own())
        granted = concurrency.grant(limit, held, 1)
        [state] = concurrency.answers(limit, held + granted, granted, 1)
        return state


_: tuple[type[Limiter], type[Leases]] = PeekingLimiter, PeekingLeases
