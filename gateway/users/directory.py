"""Look-up of Magic users: local cache, then store, then Magic's API."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from gateway.core.errors import MagicUnavailable, StoreUnavailable, Unavailable
from gateway.core.identity import Standing, User
from gateway.core.ports import Clock, Directory, StoredUser
from gateway.users.app_record import is_due
from gateway.users.lease import Lease
from gateway.users.metadata import Record, RecordAge, RecordLifetimes
from gateway.users.records import UserRecords
from gateway.util.hit_count import HitCount
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


class _UnwrittenRecord(NamedTuple):
    """A record that is not written yet."""

    record: Record
    is_news: bool
    """Whether other gateways may have cached something else."""


async def _no_other_gateway(_: str) -> None:
    """Ignore a change: there is no other gateway to tell."""


async def _no_roles(_: User) -> Standing:
    """Return what a user may do where no config gives roles."""
    return Standing()


class CachedDirectory:
    """
    The port `Directory` with two caches: asks Magic once per issuer and lifetime, for all gateways.

    A local copy is used for ``fresh_s`` at most, then the store is asked. A record in the last
    fifth of its lifetime is served at once and refreshed in the background, by one of the gateways.
    A stale record is served only while Magic, or the store, is unavailable. Where the store has no
    record, one of the gateways asks Magic, and the others wait for what it writes (`Lease`).

    Unknown issuers are cached in this process alone, for ``unknown_s``. Unknown issuers, which an
    attacker can make up, have a cache of their own, so that a flood of them evicts no user.
    """

    def __init__(
        self,
        source: MetadataSource,
        records: UserRecords,
        lifetimes: RecordLifetimes,
        *,
        changed: Callable[[str], Awaitable[None]] = _no_other_gateway,
        fresh_s: float = 1.0,
        unknown_s: float = 60.0,
        capacity: int = 10_000,
        clock: Clock = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Call ``changed`` to tell all gateways, including this one, of an issuer's new data."""
        self._source = source
        self._records = records
        self._lease = Lease(records, clock, sleep)
        self._lifetimes = lifetimes
        self._changed = changed
        self._recheck_s = min(RECHECK_S, lifetimes.ttl_s / 10)
        self._fresh_s = fresh_s
        self._unknown_s = unknown_s
        self._clock = clock
        self._spread = Spread()
        self._known: LruCache[str, _CachedRecord] = LruCache(capacity)
        self._unknown: LruCache[str, float] = LruCache(capacity)
        self._unwritten: LruCache[str, _UnwrittenRecord] = LruCache(capacity)
        """What `proven` is going to write, by issuer."""
        self._failed_at_s: LruCache[str, float] = LruCache(capacity)
        """Time of the last failed call to Magic, by issuer."""
        self._lookups: SingleFlight[str, User | None] = SingleFlight()
        self.lookups = HitCount()
        self._rechecked_at_s = _NEVER
        self._rechecking: set[str] = set()
        """The issuers that are looked up in the background."""
        self._background: set[asyncio.Task[None]] = set()
        self.standing: Callable[[User], Awaitable[Standing]] = _no_roles
        """Returns what a user may do, which apps read too."""
        self.prepare_standing: Callable[[str], object] = lambda _issuer: None
        """Begins to read what `standing` needs of an issuer."""

    def read(self, issuer: str) -> Awaitable[StoredUser]:
        self.prepare_standing(issuer)  # first: its task is one step from the store, as is the batch
        return self._records.read(issuer)

    async def user(self, issuer: str, stored: StoredUser | None = None) -> User | None:
        known = self._known.get(issuer)
        if known is not None and 0 <= self._clock() - known.checked_s < self._fresh_s * known.share:
            self.lookups.hits += 1
            return known.record.user
        self.lookups.misses += 1
        if self._is_unknown(issuer, self._clock()):
            return None
        return await self._lookups.run(issuer, lambda: self._look_up(issuer, stored))

    async def proven(self, issuer: str, ends_at_ms: int, stored: StoredUser | None = None) -> None:
        known = self._known.get(issuer)
        if known is None:
            self._unwritten.forget(issuer)
            return
        standing = await self.standing(known.record.user)
        learnt = self._unwritten.forget(issuer)  # not before: the caller may be cancelled meanwhile
        record = known.record
        if learnt is not None and learnt.record.fetched_at_ms < record.fetched_at_ms:
            learnt = None  # another gateway has asked since
        writes: list[Awaitable[object]] = [] if learnt is None else self._writes(learnt)
        told = stored.told if stored is not None else None
        if is_due(told, record, standing, ends_at_ms):
            writes.append(self._records.tell(record, standing, ends_at_ms))
        await self._write(writes)
        if learnt is not None:
            self._cache_record(record)

    def latest(self, user: User, ends_at_ms: int = 0) -> User:
        """
        Return the cached metadata of ``user``, which has a session, without waiting.

        Starts a look-up in the background where the copy is old. Until that is done, callers get
        the old copy, or ``user`` itself. Apps can read the user until the session ends, at
        ``ends_at_ms``.
        """
        issuer, now_s = user.issuer, self._clock()
        known = self._known.get(issuer)
        if known is None or not 0 <= now_s - known.checked_s < self._recheck_s * known.share:
            self._recheck(issuer, now_s, ends_at_ms)
        if known is None or self._age(known.record) is RecordAge.DEAD:
            return user
        return known.record.user

    async def learn(self, user: User) -> None:
        """Cache what Magic returned, here and in the store; ignores a store that is down."""
        await self._store_now(self._learn(user))

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

    async def _look_up(self, issuer: str, stored: StoredUser | None) -> User | None:
        """Look ``issuer`` up; what is learnt is written by `proven` where ``stored`` is given."""
        found = await self.read(issuer) if stored is None else stored
        if found.failure is not None:
            last = self._usable_record(issuer, None)
            if last is None:
                raise found.failure
            return last.user
        record = self._records.record_in(found, issuer)
        age = self._age(record)
        if record is None or age in (RecordAge.OLD, RecordAge.DEAD):
            return await self._ask_or_serve_stale(
                issuer, record, is_written_later=stored is not None
            )
        if age is RecordAge.AGEING:
            self._start_in_background(lambda: self._refresh(record))
        if self._records.kept_in(found, issuer) is None:  # written by the previous version
            await self._write_learnt(
                _UnwrittenRecord(record, is_news=False), is_later=stored is not None
            )
        return self._cache_record(record)

    async def _ask_or_serve_stale(
        self, issuer: str, record: Record | None, *, is_written_later: bool
    ) -> User | None:
        """Ask Magic; while it is unavailable, and some seconds after, serve the stale record."""
        last = self._usable_record(issuer, record)
        if last is not None and self._failed_recently(issuer):
            return self._cache_record(last)
        try:
            return await self._ask_one_for_all(
                issuer, is_stored=record is not None, is_written_later=is_written_later
            )
        except MagicUnavailable:
            self._failed_at_s.put(issuer, self._clock())
            if last is None:
                raise
            return self._cache_record(last)

    async def _ask_one_for_all(
        self, issuer: str, *, is_stored: bool, is_written_later: bool
    ) -> User | None:
        """Ask Magic, or wait for what another gateway learns from it."""
        if not await self._lease.take(issuer):
            record = await self._lease.result(issuer)
            if self._age(record) in (RecordAge.FRESH, RecordAge.AGEING) and record is not None:
                return self._cache_record(record)
        try:
            user = await self._ask_magic(issuer)
        except (MagicUnavailable, asyncio.CancelledError):  # the latter when the gateway stops
            await self._lease.release(issuer)
            raise
        if user is None:
            await self._note_unknown(issuer, is_stored=is_stored)
            return None
        learnt = self._learn(user)
        await self._write_learnt(learnt, is_later=is_written_later)
        return self._cache_record(learnt.record)

    async def _ask_magic(self, issuer: str) -> User | None:
        user = await self._source.user(issuer)
        self._failed_at_s.forget(issuer)
        return user

    def _learn(self, user: User) -> _UnwrittenRecord:
        known = self._known.get(user.issuer)
        is_news = known is None or known.record.user != user
        return _UnwrittenRecord(Record(user, int(self._clock() * 1000)), is_news)

    async def _note_unknown(self, issuer: str, *, is_stored: bool) -> None:
        """Forget a user that Magic does not know; nothing is written for unknown issuers."""
        self._known.forget(issuer)
        self._unwritten.forget(issuer)
        writes: list[Awaitable[object]] = [self._lease.release(issuer)]
        if is_stored:
            writes += [self._records.drop(issuer), self._changed(issuer)]
        await self._write(writes)
        self._unknown.put(issuer, self._clock())

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

    def _recheck(self, issuer: str, now_s: float, ends_at_ms: int) -> None:
        """Look ``issuer`` up in the background, unless one was a moment ago, or it is in vain."""
        is_paused = 0 <= now_s - self._rechecked_at_s < _RECHECK_PAUSE_S
        if is_paused or issuer in self._rechecking or self._is_in_vain(issuer, now_s):
            return  # what is in vain takes no turn from others
        self._rechecked_at_s = now_s
        self._start_in_background(lambda: self._begin_look_up(issuer, ends_at_ms))

    def _is_in_vain(self, issuer: str, now_s: float) -> bool:
        return self._is_unknown(issuer, now_s) or self._failed_recently(issuer)

    def _begin_look_up(self, issuer: str, ends_at_ms: int) -> Coroutine[Any, Any, None]:
        """Prepare a look-up that travels with what its starter asks for in the same tick."""
        self.prepare_standing(issuer)
        return self._look_up_quietly(issuer, ends_at_ms)

    async def _look_up_quietly(self, issuer: str, ends_at_ms: int) -> None:
        self._rechecking.add(issuer)
        try:
            stored = await self.read(issuer)
            with suppress(Unavailable):
                if await self.user(issuer, stored) is not None:
                    await self.proven(issuer, ends_at_ms, stored)
        finally:
            self._rechecking.discard(issuer)

    async def _refresh(self, record: Record) -> None:
        """
        Ask Magic again, unless another gateway is doing so.

        The mark in the store expires by itself. After a failed call, that is the pause before the
        next try.
        """
        issuer = record.user.issuer
        ends_at_ms = int((self._clock() + RETRY_S) * 1000)
        with suppress(Unavailable):
            mark = f"refreshing:{issuer}"
            if not await self._records.store.add(mark, b"1", expires_at_ms=ends_at_ms):
                return
            user = await self._ask_magic(issuer)
            if user is None:
                await self._note_unknown(issuer, is_stored=True)
            else:
                await self._store_now(self._learn(user))

    # --- caches --------------------------------------------------------------------------------

    async def _write_learnt(self, learnt: _UnwrittenRecord, *, is_later: bool) -> None:
        """Write a record, or leave it to `proven`."""
        if is_later:
            self._unwritten.put(learnt.record.user.issuer, learnt)
        else:
            await self._store_now(learnt)

    async def _store_now(self, learnt: _UnwrittenRecord) -> None:
        """Write a record, and change what apps read if they can read it already."""
        record = learnt.record
        self._unwritten.forget(record.user.issuer)
        standing = await self.standing(record.user)
        told = self._records.tell(record, standing)
        await self._write([*self._writes(learnt), told])
        self._cache_record(record)

    def _writes(self, learnt: _UnwrittenRecord) -> list[Awaitable[object]]:
        """List what is written of a record for gateways; the news go last."""
        issuer = learnt.record.user.issuer
        writes: list[Awaitable[object]] = [
            self._records.keep(learnt.record, self._lifetimes.ends_at_ms(learnt.record)),
            self._lease.release(issuer),
        ]
        return [*writes, self._changed(issuer)] if learnt.is_news else writes

    async def _write(self, writes: Sequence[Awaitable[object]]) -> None:
        """Carry out ``writes`` in one batch; ignores a store that is down."""
        for outcome in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, StoreUnavailable):
                raise outcome

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


_: type[Directory] = CachedDirectory
