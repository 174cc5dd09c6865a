"""Limits with ``overrides: true``: callers may have rates of their own."""

import asyncio
from collections.abc import Sequence

from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Limiter
from gateway.ratelimit.override_store import StoredOverrides


class OverridingLimiter:
    """The port `Limiter` in front of another one: each caller is counted by its own rate."""

    def __init__(self, inner: Limiter, overrides: StoredOverrides) -> None:
        self._inner = inner
        self._overrides = overrides

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        if not limit.has_overrides:
            return self._inner.spend_now(limit, caller)
        own = self._overrides.known(limit, caller)
        return None if own is None else self._inner.spend_now(own, caller)

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        if limit.has_overrides:
            limit = await self._overrides.find(limit, caller)
        return await self._inner.spend(limit, caller)

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        own: list[Spend] = []
        for limit, caller, cost in spends:
            known = self._overrides.known(limit, caller) if limit.has_overrides else limit
            if known is None:
                return None
            own.append(Spend(known, caller, cost))
        return self._inner.spend_all_now(own)

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        return await self._inner.spend_all(await asyncio.gather(*map(self._own, spends)))

    async def settle(self, spend: Spend) -> None:
        await self._inner.settle(await self._own(spend))

    async def _own(self, spend: Spend) -> Spend:
        """Return ``spend`` against the limit that counts its caller."""
        if not spend.limit.has_overrides:
            return spend
        return spend._replace(limit=await self._overrides.find(spend.limit, spend.caller))


_: type[Limiter] = OverridingLimiter
