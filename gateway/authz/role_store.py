"""The port `RoleStore` over the store: ``roles:{issuer}``, cached for a second."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, NamedTuple

from gateway.authz.roles import decode_roles, key
from gateway.core.errors import StoreUnavailable
from gateway.core.ports import (
    Clock,
    RoleStore,
    Script,
    Store,
)
from gateway.core.reasons import RolesReason
from gateway.core.replies import is_text_or_nil
from gateway.util.hit_count import HitCount
from gateway.util.lru import LruCache
from gateway.util.single_flight import SingleFlight
from gateway.util.spread import Spread

READ: Final = Script.packaged("gateway.authz", "read", is_text_or_nil)


class _CachedRoles(NamedTuple):
    roles: tuple[str, ...]
    since_s: float
    fresh_s: float


class RedisRoleStore:
    """
    Reads roles from the store, and caches them until `forget`, or for ``fresh_s`` at most.

    Never longer: while the store is unavailable, or its record is unreadable, roles are unknown.
    """

    def __init__(
        self,
        store: Store,
        *,
        fresh_s: float = 1.0,
        capacity: int = 10_000,
        clock: Clock = time.time,
    ) -> None:
        self._store = store
        self._fresh_s = fresh_s
        self._clock = clock
        self._spread = Spread()
        self._known: LruCache[str, _CachedRoles] = LruCache(capacity)
        self._lookups: SingleFlight[tuple[str, int], tuple[str, ...]] = SingleFlight()
        self.lookups = HitCount()
        self._forgotten = 0
        """Counts calls of `forget`: a look-up that was under way then must not be cached."""

    async def roles(self, issuer: str) -> tuple[str, ...]:
        """Return the roles of ``issuer``. Raises `StoreUnavailable`."""
        known = self._fresh(issuer)
        if known is not None:
            self.lookups.hits += 1
            return known.roles
        self.lookups.misses += 1
        return await asyncio.shield(self._begin(issuer))

    def prepare(self, issuer: str) -> None:
        if self._fresh(issuer) is None:
            self._begin(issuer)

    def _fresh(self, issuer: str) -> _CachedRoles | None:
        known = self._known.get(issuer)
        if known is not None and 0 <= self._clock() - known.since_s < known.fresh_s:
            return known
        return None

    def _begin(self, issuer: str) -> Awaitable[tuple[str, ...]]:
        """Begin to look ``issuer`` up, unless that is under way."""
        forgotten = self._forgotten
        return self._lookups.begin((issuer, forgotten), lambda: self._look_up(issuer, forgotten))

    def forget(self, issuer: str) -> None:
        """Drop the cached roles of ``issuer``; a look-up under way is not cached."""
        self._forgotten += 1
        self._known.forget(issuer)

    def forget_all(self) -> None:
        """Drop all cached roles, as an invalidation may have been missed."""
        self._forgotten += 1
        self._known.clear()

    async def aclose(self) -> None:
        """Cancel look-ups that are under way."""
        await self._lookups.aclose()

    async def _look_up(self, issuer: str, forgotten: int) -> tuple[str, ...]:
        since_s = self._clock()
        try:
            record = await self._store.run(READ, [key(issuer)], [])
        except StoreUnavailable as error:
            raise StoreUnavailable(RolesReason.UNKNOWN, error.retry_after_s) from error
        try:
            roles = decode_roles(record) if isinstance(record, bytes) else ()
        except ValueError as error:
            raise StoreUnavailable(RolesReason.UNREADABLE) from error
        if forgotten == self._forgotten:
            fresh_s = self._fresh_s * self._spread.share()
            self._known.put(issuer, _CachedRoles(roles, since_s, fresh_s))
        return roles


_: type[RoleStore] = RedisRoleStore
