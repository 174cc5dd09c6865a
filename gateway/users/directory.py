"""Look-up of Magic users: local cache, then store, then Magic's API."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from gateway.core.errors import MagicUnavailable, StoreUnavailable, Unavailable
from gateway.core.identity import User
from gateway.core.ports import Clock, Directory, Store
from gateway.users.metadata import Record, RecordAge, RecordLifetimes, RecordSealer
from gateway.util.lru import LruCache
from gateway.util.single_flight import SingleFlight
from gateway.util.spread import Spread

RETRY_S: Final = 10.0
"""Pause after a failed call to Magic, and between two refreshes of one record."""

RECHECK_S: Final = 30.0
"""Age at which the copy of a user with a session is checked in the background; a tenth of its
lifetime if that is less, so that its ageing is noticed."""

_RECHECK_PAUSE_S: Final = 0.001
"""Least time between two such checks: each batch of requests has few of many users checked."""

_MAX_BACKGROUND: Final = 4
"""Background look-ups at one time: calls to Magic are for requests that wait."""


class MetadataSource(Protocol):
    """Authority on users: Magic's admin API, or development mode."""

    async def user(self, issuer: str) -> User | None:
        """Look up like `Directory.user`; raises `MagicUnavailable` alone."""


_NEVER: Final = float("-inf")


class _CachedRecord(NamedTuple):
    record: Record
    checked_s: float
    """When the store or Magic last confirmed it; `_NEVER` where it may have changed since."""
    share: float
    """Of the times for which a copy is used, before it is checked."""


async def _no_other_gateway(_: str) -> None:
    """Ignore a change: there is no other gateway to tell."""


class CachedDirectory:
    """
    The port `Directory` with two caches: asks Magic once per issuer and lifetime, for all gateways.

    A local copy is used for ``fresh_s`` at most, then the store is asked. A record in the last
    fifth of its lifetime is served at once and refreshed in the background, by one of the gateways.
    A stale record is served only while Magic, or the store, is unavailable.

    Unknown issuers are cached in this process alone, for ``unknown_s``: apps read
    ``user:{issuer}``, so it holds users only. Unknown issuers, which an attacker can make up, have
    a cache of their own, so that a flood of them evicts no user.
    """

    def __init__(
        self,
        source: MetadataSource,
        store: Store,
        seals: RecordSealer,
        lifetimes: RecordLifetimes,
        *,
        changed: Callable[[str], Awaitable[None]] = _no_other_gateway,
        fresh_s: float = 1.0,
        unknown_s: float = 60.0,
        capacity: int = 10_000,
        clock: Clock = time.time,
    ) -> None:
        """Call ``changed`` to tell all gateways, including this one, of an issuer's new data."""
        self._source = source
        self._store = store
        self._seals = seals
        self._lifetimes = lifetimes
        self._changed = changed
        self._recheck_s = min(RECHECK_S, lifetimes.ttl_s / 10)
        self._fresh_s = fresh_s
        self._unknown_s = unknown_s
        self._clock = clock
        self._spread = Spread()
        self._known: LruCache[str, _CachedRecord] = LruCache(capacity)
        self._unknown: LruCache[str, float] = LruCache(capacity)
        self._failed_at_s: LruCache[str, float] = LruCache(capacity)
        """Time of the last failed call to Magic, by issuer."""
        self._lookups: SingleFlight[str, User | None] = SingleFlight()
        self._rechecked_at_s = _NEVER
        self._background: set[asyncio.Task[None]] = set()

    async def user(self, issuer: str) -> User | None:
        """Look up ``issuer``. Raises `MagicUnavailable` or `StoreUnavailable`."""
        known = self._known.get(issuer)
        if known is not None and 0 <= self._clock() - known.checked_s < self._fresh_s * known.share:
            return known.record.user
        if self._is_unknown(issuer, self._clock()):
            return None
        return await self._lookups.run(issuer, lambda: self._look_up(issuer))

    def latest(self, user: User) -> User:
        """
        Return the cached metadata of ``user``, which has a session, without waiting.

        Starts a look-up in the background where the copy is old. Until that is done, callers get
        the old copy, or ``user`` itself.
        """
        issuer, now_s = user.issuer, self._clock()
        known = self._known.get(issuer)
        if known is None or not 0 <= now_s - known.checked_s < self._recheck_s * known.share:
            self._recheck(issuer, now_s)
        if known is None or self._age(known.record) is RecordAge.DEAD:
            return user
        return known.record.user

    async def learn(self, user: User) -> None:
        """Cache what Magic returned, here and in the store; ignores a store that is down."""
        known = self._known.get(user.issuer)
        record = Record(user, int(self._clock() * 1000))
        await self._store_record(record, self._lifetimes.expires_at_ms(record))
        if known is None or known.record.user != user:
            await self._changed(user.issuer)
        self._cache_record(record)

    def forget(self, issuer: str) -> None:
        """Invalidate the local copy: the record in the store was changed or deleted."""
        known = self._known.get(issuer)
        if known is not None:
            self._known.put(issuer, known._replace(checked_s=_NEVER))
        self._unknown.forget(issuer)

    async def aclose(self) -> None:
        """Cancel look-ups that are under way."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._lookups.aclose()

    # --- look-ups that a caller waits for ------------------------------------------------------

    async def _look_up(self, issuer: str) -> User | None:
        try:
            record = await self._stored_record(issuer)
        except StoreUnavailable:
            last = self._usable_record(issuer, None)
            if last is None:
                raise
            return last.user
        age = self._age(record)
        if record is None or age in (RecordAge.OLD, RecordAge.DEAD):
            return await self._ask_or_serve_stale(issuer, record)
        if age is RecordAge.AGEING:
            self._start_in_background(lambda: self._refresh(record))
        return self._cache_record(record)

    async def _ask_or_serve_stale(self, issuer: str, record: Record | None) -> User | None:
        """Ask Magic; while it is unavailable, and some seconds after, serve the stale record."""
        last = self._usable_record(issuer, record)
        if last is not None and self._failed_recently(issuer):
            return self._cache_record(last)
        try:
            return await self._ask_magic(issuer, is_stored=record is not None)
        except MagicUnavailable:
            self._failed_at_s.put(issuer, self._clock())
            if last is None:
                raise
            if record is not None:  # a record that was deleted is not stored again
                await self._store_record(last, self._lifetimes.ends_at_ms(last))
            return self._cache_record(last)

    async def _stored_record(self, issuer: str) -> Record | None:
        text = await self._store.get(key_of(issuer))
        return None if text is None else self._seals.decode(text, issuer)

    async def _ask_magic(self, issuer: str, *, is_stored: bool) -> User | None:
        user = await self._source.user(issuer)
        self._failed_at_s.forget(issuer)
        if user is not None:
            await self.learn(user)
            return user
        self._known.forget(issuer)
        if is_stored:  # nothing is written for unknown issuers
            with suppress(StoreUnavailable):
                await self._store.delete(key_of(issuer))
            await self._changed(issuer)
        self._unknown.put(issuer, self._clock())
        return None

    def _is_unknown(self, issuer: str, now_s: float) -> bool:
        """Whether Magic did not know ``issuer`` a moment ago."""
        since_s = self._unknown.get(issuer)
        return since_s is not None and 0 <= now_s - since_s < self._unknown_s

    # --- look-ups in the background ------------------------------------------------------------

    def _start_in_background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start ``work``, unless enough of it is under way; the next look-up tries again."""
        if len(self._background) < _MAX_BACKGROUND:
            task = asyncio.get_running_loop().create_task(work())
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    def _recheck(self, issuer: str, now_s: float) -> None:
        """Look ``issuer`` up in the background, unless one was a moment ago, or it is in vain."""
        is_paused = 0 <= now_s - self._rechecked_at_s < _RECHECK_PAUSE_S
        if is_paused or self._is_unknown(issuer, now_s) or self._failed_recently(issuer):
            return  # what is in vain takes no turn from others
        self._rechecked_at_s = now_s
        self._start_in_background(lambda: self._look_up_quietly(issuer))

    async def _look_up_quietly(self, issuer: str) -> None:
        with suppress(Unavailable):
            await self.user(issuer)

    async def _refresh(self, record: Record) -> None:
        """
        Ask Magic again, unless another gateway is doing so.

        The mark in the store expires by itself. After a failed call, that is the pause before the
        next try.
        """
        issuer = record.user.issuer
        ends_at_ms = int((self._clock() + RETRY_S) * 1000)
        with suppress(StoreUnavailable):
            if not await self._store.add(f"refreshing:{issuer}", b"1", expires_at_ms=ends_at_ms):
                return
            try:
                await self._ask_magic(issuer, is_stored=True)
            except MagicUnavailable:
                await self._store_record(record, self._lifetimes.ends_at_ms(record))

    # --- caches --------------------------------------------------------------------------------

    async def _store_record(self, record: Record, ends_at_ms: int) -> None:
        with suppress(StoreUnavailable):
            text = self._seals.encode(record)
            await self._store.set(key_of(record.user.issuer), text, expires_at_ms=ends_at_ms)

    def _cache_record(self, record: Record) -> User:
        self._unknown.forget(record.user.issuer)
        self._known.put(
            record.user.issuer, _CachedRecord(record, self._clock(), self._spread.share())
        )
        return record.user

    def _usable_record(self, issuer: str, stored: Record | None) -> Record | None:
        """Choose the youngest record that may still be served: the stored or the local one."""
        known = self._known.get(issuer)
        ours = known.record if known is not None and known.checked_s > _NEVER else None
        usable = [each for each in (stored, ours) if self._age(each) is not RecordAge.DEAD]
        return max(filter(None, usable), key=lambda each: each.fetched_at_ms, default=None)

    def _age(self, record: Record | None) -> RecordAge:
        return RecordAge.DEAD if record is None else self._lifetimes.age(record, self._clock())

    def _failed_recently(self, issuer: str) -> bool:
        """Whether a call to Magic about ``issuer`` failed within the last `RETRY_S`."""
        failed_at_s = self._failed_at_s.get(issuer)
        return failed_at_s is not None and 0 <= self._clock() - failed_at_s < RETRY_S


def key_of(issuer: str) -> str:
    """Return the key of the record in the store, which apps read."""
    return f"user:{issuer}"


_: type[Directory] = CachedDirectory
