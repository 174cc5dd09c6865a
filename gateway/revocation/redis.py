"""Revocation epochs in the store, at ``revoked:{issuer}``, shared by all gateways."""

import time
from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from gateway.core.errors import StoreUnavailable
from gateway.core.event import Notice
from gateway.core.event_ports import ToldChanges
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Bus, Clock, Revocations, Script, Store
from gateway.core.replies import is_text
from gateway.revocation.epoch import kept_s, key_of, read_epoch_ms
from gateway.util.hit_count import HitCount
from gateway.util.lru import LruCache
from gateway.util.spread import Spread

REVOKE: Final = Script.packaged("gateway.revocation", "revoke", is_text)

FRESH_S: Final = 1.0
"""The longest that an epoch is cached; an invalidation ends that sooner."""

MAX_ISSUERS = 10_000


async def _nothing_to_clean_up(_: str) -> None:
    """Do nothing: apps read nothing of the issuer."""


class _CachedEpoch(NamedTuple):
    epoch_ms: int | None
    looked_up_at_s: float
    """When the store was asked, not when it replied: the reply may miss later revocations."""
    generation: int
    fresh_s: float


class RedisRevocations:
    """
    The port `Revocations` over a `Store`.

    An epoch is cached for a second, and for ``grace_s`` while the store is unavailable. After that
    it is unknown, which never counts as "not revoked". An epoch that was seen here stays in force
    if the store loses it, in a failover or by a restart without its data.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        *,
        kept_s: float,
        grace_s: float = 0.0,
        clock: Clock = time.time,
        on_revoked: Callable[[], object] = lambda: None,
        capacity: int = MAX_ISSUERS,
        clean_up: Callable[[str], Awaitable[object]] = _nothing_to_clean_up,
        changes: ToldChanges | None = None,
    ) -> None:
        """
        Keep epochs of tokens in the store for ``kept_s``; ``on_revoked`` counts revocations.

        Call ``clean_up`` with each issuer that is revoked: it deletes what apps read of it.
        ``changes`` records what is told of revocations; without it nothing is.
        """
        self._store = store
        self._bus = bus
        self._kept_s = kept_s
        self._grace_s = grace_s
        self._clock = clock
        self._on_revoked = on_revoked
        self._clean_up = clean_up
        self._changes = changes
        self._known: LruCache[str, _CachedEpoch] = LruCache(capacity)
        self._spread = Spread()
        self.lookups = HitCount()
        self._latest_ms: LruCache[str, int] = LruCache(capacity)
        """Latest epochs seen, each at most the time it was seen: another clock may be wrong."""
        self._invalidations = 0
        """Number of invalidations: a look-up during which it changes is not cached."""
        self._generation = 0
        """Epochs that were cached in an earlier generation are not fresh."""

    async def epoch_ms(self, issuer: str) -> int | None:
        known = self._known.peek(issuer)  # a look-up counts as use, every second
        if known is not None and known.generation == self._generation:
            age_s = self._clock() - known.looked_up_at_s
            if 0 <= age_s < known.fresh_s:
                self.lookups.hits += 1
                return known.epoch_ms
        self.lookups.misses += 1
        return await self._look_up(issuer)

    async def _look_up(self, issuer: str) -> int | None:
        invalidations, looked_up_at_s = self._invalidations, self._clock()
        try:
            epoch_ms = self.epoch_in(await self._store.get(key_of(issuer)), issuer)
        except StoreUnavailable:
            known = self._known.get(issuer)
            if known is None or not 0 <= self._clock() - known.looked_up_at_s < self._grace_s:
                raise
            return known.epoch_ms
        if invalidations == self._invalidations:
            fresh_s = FRESH_S * self._spread.share()
            found = _CachedEpoch(epoch_ms, looked_up_at_s, self._generation, fresh_s)
            self._known.put(issuer, found)
        return epoch_ms

    def epoch_in(self, record: bytes | None, issuer: str) -> int | None:
        try:
            return self._never_decrease(issuer, read_epoch_ms(record))
        except ValueError:
            raise StoreUnavailable("an epoch cannot be read") from None

    def _never_decrease(self, issuer: str, epoch_ms: int | None) -> int | None:
        latest_ms = self._latest_ms.get(issuer)
        if epoch_ms is None or (latest_ms is not None and epoch_ms < latest_ms):
            return latest_ms
        self._latest_ms.put(issuer, min(epoch_ms, int(self._clock() * 1000)))
        return epoch_ms

    async def revoke(self, issuer: str, notices: Sequence[Notice] = ()) -> int:
        now_ms = int(self._clock() * 1000)
        args = [now_ms, round(kept_s(issuer, self._kept_s) * 1000)]
        if self._changes is not None and (told := self._changes.wanted(notices)):
            reply = await self._changes.make(REVOKE, key_of(issuer), args, told)
        else:
            reply = await self._store.run(REVOKE, [key_of(issuer)], args)
        epoch_ms = read_epoch_ms(reply if isinstance(reply, bytes) else None)
        if epoch_ms is None:
            raise StoreUnavailable("malformed reply of the script")
        self._never_decrease(issuer, epoch_ms)
        self._on_revoked()
        publish = self._bus.publish(InvalidationKind.REVOKED, issuer)
        _, outcome = await gather(publish, self._clean_up(issuer), return_exceptions=True)
        if isinstance(outcome, BaseException) and not isinstance(outcome, StoreUnavailable):
            raise outcome
        return epoch_ms

    def forget(self, issuer: str) -> None:
        """Drop an issuer from the cache; its epoch is unknown while the store is unavailable."""
        self._invalidations += 1
        self._known.forget(issuer)

    def forget_all(self) -> None:
        """Mark all epochs stale; they are used only while the store is unavailable."""
        self._invalidations += 1
        self._generation += 1


async def epochs_ms(store: Store, issuers: Sequence[str]) -> dict[str, int]:
    """
    Look up the epochs of those issuers that have one, past all caches.

    While the store is unavailable, none has.
    """
    records = await gather(*map(store.get, map(key_of, issuers)), return_exceptions=True)
    found = {}
    for issuer, record in zip(issuers, records, strict=True):
        with suppress(ValueError):
            epoch_ms = None if isinstance(record, BaseException) else read_epoch_ms(record)
            if epoch_ms is not None:
                found[issuer] = epoch_ms
    return found


_: type[Revocations] = RedisRevocations
