"""Whose proofs are void, and since when: ``revoked:{issuer}`` in the store, for all gateways."""

import time
from asyncio import gather
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Final, NamedTuple

from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import (
    Bus,
    Clock,
    Revocations,
    Script,
    Store,
)
from gateway.revocation.epoch import key_of, read_epoch_ms
from gateway.util.lru import LruCache

REVOKE: Final = Script(
    "revoke", files("gateway.revocation").joinpath("revoke.lua").read_text("utf-8")
)

FRESH_S: Final = 1.0
"""How long an epoch is believed; less where its gateway hears that it was moved."""

_MAX_ISSUERS = 10_000


class _CachedEpoch(NamedTuple):
    epoch_ms: int | None
    looked_up_at_s: float
    """When the store was asked: what came later it could not say."""
    generation: int


class RedisRevocations:
    """
    The port `Revocations` over a `Store`.

    What the store said last holds for a second, and while it does not answer for ``grace_s``: after
    that it is unknown, which is never taken for "not revoked". An epoch that was seen holds on here
    where the store has lost it: in a failover, say, or by a restart without its data.
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
        capacity: int = _MAX_ISSUERS,
    ) -> None:
        """``kept_s``: how long an epoch stays in the store. ``on_revoked`` counts."""
        self._store = store
        self._bus = bus
        self._kept_ms = round(kept_s * 1000)
        self._grace_s = grace_s
        self._clock = clock
        self._on_revoked = on_revoked
        self._known: LruCache[str, _CachedEpoch] = LruCache(capacity)
        self._latest_ms: LruCache[str, int] = LruCache(capacity)
        """The latest epochs; of one that lay ahead, by a clock's fault, the part that was over."""
        self._invalidations = 0
        """How often something was forgotten: what is being looked up meanwhile may be just that."""
        self._generation = 0
        """What was learnt in another one is not fresh."""

    async def epoch_ms(self, issuer: str) -> int | None:
        known = self._known.get(issuer)
        if known is not None and known.generation == self._generation:
            age_s = self._clock() - known.looked_up_at_s
            if 0 <= age_s < FRESH_S:
                return known.epoch_ms
        return await self._look_up(issuer)

    async def _look_up(self, issuer: str) -> int | None:
        invalidations, looked_up_at_s = self._invalidations, self._clock()
        try:
            epoch_ms = await self._stored_epoch_ms(issuer)
        except StoreUnavailable:
            known = self._known.get(issuer)
            if known is None or not 0 <= self._clock() - known.looked_up_at_s < self._grace_s:
                raise
            return known.epoch_ms
        epoch_ms = self._never_decrease(issuer, epoch_ms)
        if invalidations == self._invalidations:
            self._known.put(issuer, _CachedEpoch(epoch_ms, looked_up_at_s, self._generation))
        return epoch_ms

    def _never_decrease(self, issuer: str, epoch_ms: int | None) -> int | None:
        latest_ms = self._latest_ms.get(issuer)
        if epoch_ms is None or (latest_ms is not None and epoch_ms < latest_ms):
            return latest_ms
        self._latest_ms.put(issuer, min(epoch_ms, int(self._clock() * 1000)))
        return epoch_ms

    async def _stored_epoch_ms(self, issuer: str) -> int | None:
        try:
            return read_epoch_ms(await self._store.get(key_of(issuer)))
        except ValueError:
            raise StoreUnavailable("an epoch cannot be read") from None

    async def revoke(self, issuer: str) -> int:
        now_ms = int(self._clock() * 1000)
        reply = await self._store.run(REVOKE, [key_of(issuer)], [now_ms, self._kept_ms])
        epoch_ms = read_epoch_ms(reply if isinstance(reply, bytes) else None)
        if epoch_ms is None:
            raise StoreUnavailable("no answer of the script's")
        self._never_decrease(issuer, epoch_ms)
        self._on_revoked()
        await self._bus.publish(InvalidationKind.REVOKED, issuer)
        return epoch_ms

    def forget(self, issuer: str) -> None:
        """Ask the store the next time; while it does not answer, nothing of ``issuer`` holds."""
        self._invalidations += 1
        self._known.forget(issuer)

    def forget_all(self) -> None:
        """Ask the store about everybody the next time; without it, what was known holds on."""
        self._invalidations += 1
        self._generation += 1


async def epochs_ms(store: Store, issuers: Sequence[str]) -> dict[str, int]:
    """
    The epochs of those of the issuers that have one, whatever was seen of them before.

    While the store does not answer, none has.
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
