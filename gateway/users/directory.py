"""Who is a user of Magic's: asked here, then in the store, then of Magic itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from gateway.core.errors import MagicUnavailable, StoreUnavailable, Unavailable
from gateway.core.identity import User
from gateway.core.ports import Clock, Directory, Store
from gateway.users.metadata import (
    Record,
    RecordAge,
    RecordLifetimes,
    RecordSealer,
)
from gateway.util.lru import LruCache
from gateway.util.single_flight import SingleFlight

RETRY_S: Final = 10.0
"""After a question that Magic did not answer, and between two refreshes of one record."""

LOOK_AGAIN_S: Final = 30.0
"""How old a copy may be of somebody with a session: nobody waits for that one. Or a tenth of its
life, so that its ageing is not overlooked."""

_MAX_BACKGROUND: Final = 4
"""Look-ups that nobody waits for, at one time: Magic's turns are for those who do."""


class MetadataSource(Protocol):
    """The last instance on who is a user: Magic's admin API, or development mode."""

    async def user(self, issuer: str) -> User | None:
        """As `Directory.user`; raises `MagicUnavailable` alone."""


_NEVER: Final = float("-inf")


class _CachedRecord(NamedTuple):
    record: Record
    checked_s: float
    """When the store or Magic last said so; `_NEVER` where it may have changed since."""


async def _nobody_told(_: str) -> None:
    """Where there is no other gateway."""


class CachedDirectory:
    """
    Asks Magic once for each issuer and lifetime of metadata, however many gateways there are.

    A local copy answers for ``fresh_s``, then the store is asked. A record in the last part of its
    life is served at once and asked for anew behind the caller's back, by one gateway of all. What
    is older than its life is served only while Magic, or the store, does not answer.

    That an issuer is unknown is remembered here alone, for ``stranger_s``: ``user:{issuer}`` is
    read by apps, and holds users only. Strangers, whom anybody can make up, have a memory of their
    own, so that a flood of them pushes out no user.
    """

    def __init__(
        self,
        source: MetadataSource,
        store: Store,
        seals: RecordSealer,
        lifetimes: RecordLifetimes,
        *,
        changed: Callable[[str], Awaitable[None]] = _nobody_told,
        fresh_s: float = 1.0,
        stranger_s: float = 60.0,
        capacity: int = 10_000,
        clock: Clock = time.time,
    ) -> None:
        """``changed`` tells all gateways, this one included, of an issuer whose record differs."""
        self._source = source
        self._store = store
        self._seals = seals
        self._lifetimes = lifetimes
        self._changed = changed
        self._look_again_s = min(LOOK_AGAIN_S, lifetimes.ttl_s / 10)
        self._fresh_s = fresh_s
        self._stranger_s = stranger_s
        self._clock = clock
        self._known: LruCache[str, _CachedRecord] = LruCache(capacity)
        self._strangers: LruCache[str, float] = LruCache(capacity)
        self._unanswered_s: LruCache[str, float] = LruCache(capacity)
        """When Magic was last asked in vain."""
        self._lookups: SingleFlight[str, User | None] = SingleFlight()
        self._background: set[asyncio.Task[None]] = set()

    async def user(self, issuer: str) -> User | None:
        """What Magic knows of ``issuer``. Raises `MagicUnavailable` or `StoreUnavailable`."""
        known = self._known.get(issuer)
        if known is not None and 0 <= self._clock() - known.checked_s < self._fresh_s:
            return known.record.user
        unknown_since_s = self._strangers.get(issuer)
        if unknown_since_s is not None and (
            0 <= self._clock() - unknown_since_s < self._stranger_s
        ):
            return None
        return await self._lookups.run(issuer, lambda: self._look_up(issuer))

    def latest(self, user: User) -> User:
        """
        What is known by now of ``user``, who has a session; nobody waits for it.

        The first to ask gets ``user`` back; what is found meanwhile is there for the next.
        """
        issuer, now_s = user.issuer, self._clock()
        known = self._known.get(issuer)
        if known is None or not 0 <= now_s - known.checked_s < self._look_again_s:
            self._soon(lambda: self._look_up_quietly(issuer))
        if known is None or self._age(known.record) is RecordAge.DEAD:
            return user
        return known.record.user

    async def learn(self, user: User) -> None:
        """Remember, here and in the store, what Magic said; a store that is down is passed over."""
        known = self._known.get(user.issuer)
        record = Record(user, int(self._clock() * 1000))
        await self._keep(record, self._lifetimes.expires_at_ms(record))
        if known is None or known.record.user != user:
            await self._changed(user.issuer)
        self._remember(record)

    def forget(self, issuer: str) -> None:
        """Ask the store the next time: the record there was changed or deleted."""
        known = self._known.get(issuer)
        if known is not None:
            self._known.put(issuer, known._replace(checked_s=_NEVER))
        self._strangers.forget(issuer)

    async def aclose(self) -> None:
        """Give up what is being asked."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._lookups.aclose()

    # --- for one who waits ---------------------------------------------------------------------

    async def _look_up(self, issuer: str) -> User | None:
        try:
            record = await self._stored(issuer)
        except StoreUnavailable:
            last = self._last_word(issuer, None)
            if last is None:
                raise
            return last.user
        age = self._age(record)
        if record is None or age in (RecordAge.OLD, RecordAge.DEAD):
            return await self._ask_or_serve(issuer, record)
        if age is RecordAge.AGEING:
            self._soon(lambda: self._refresh(record))
        return self._remember(record)

    async def _ask_or_serve(self, issuer: str, record: Record | None) -> User | None:
        """Magic's answer; or without one, and for some seconds after, the last one there was."""
        last = self._last_word(issuer, record)
        if last is not None and self._asked_in_vain(issuer):
            return self._remember(last)
        try:
            return await self._ask(issuer, is_stored=record is not None)
        except MagicUnavailable:
            self._unanswered_s.put(issuer, self._clock())
            if last is None:
                raise
            if record is not None:  # what somebody deleted does not come back
                await self._keep(last, self._lifetimes.ends_at_ms(last))
            return self._remember(last)

    async def _stored(self, issuer: str) -> Record | None:
        text = await self._store.get(key_of(issuer))
        return None if text is None else self._seals.decode(text, issuer)

    async def _ask(self, issuer: str, *, is_stored: bool) -> User | None:
        user = await self._source.user(issuer)
        self._unanswered_s.forget(issuer)
        if user is not None:
            await self.learn(user)
            return user
        self._known.forget(issuer)
        if is_stored:  # else nothing is written for strangers
            with suppress(StoreUnavailable):
                await self._store.delete(key_of(issuer))
            await self._changed(issuer)
        self._strangers.put(issuer, self._clock())
        return None

    # --- behind the callers' backs -------------------------------------------------------------

    def _soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do ``work`` meanwhile, unless enough of it is under way: somebody will ask again."""
        if len(self._background) < _MAX_BACKGROUND:
            task = asyncio.get_running_loop().create_task(work())
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _look_up_quietly(self, issuer: str) -> None:
        with suppress(Unavailable):
            if not self._asked_in_vain(issuer):
                await self.user(issuer)

    async def _refresh(self, record: Record) -> None:
        """
        Ask Magic anew, if no gateway has just begun to.

        The mark that says so ends by itself: where Magic did not answer, that is the pause.
        """
        issuer = record.user.issuer
        ends_at_ms = int((self._clock() + RETRY_S) * 1000)
        with suppress(StoreUnavailable):
            if not await self._store.add(f"refreshing:{issuer}", b"1", expires_at_ms=ends_at_ms):
                return
            try:
                await self._ask(issuer, is_stored=True)
            except MagicUnavailable:
                await self._keep(record, self._lifetimes.ends_at_ms(record))

    # --- what is remembered --------------------------------------------------------------------

    async def _keep(self, record: Record, ends_at_ms: int) -> None:
        with suppress(StoreUnavailable):
            text = self._seals.encode(record)
            await self._store.set(key_of(record.user.issuer), text, expires_at_ms=ends_at_ms)

    def _remember(self, record: Record) -> User:
        self._strangers.forget(record.user.issuer)
        self._known.put(record.user.issuer, _CachedRecord(record, self._clock()))
        return record.user

    def _last_word(self, issuer: str, stored: Record | None) -> Record | None:
        """The youngest record that may still be served, of the store's and our own."""
        known = self._known.get(issuer)
        ours = known.record if known is not None and known.checked_s > _NEVER else None
        usable = [each for each in (stored, ours) if self._age(each) is not RecordAge.DEAD]
        return max(filter(None, usable), key=lambda each: each.fetched_at_ms, default=None)

    def _age(self, record: Record | None) -> RecordAge:
        return RecordAge.DEAD if record is None else self._lifetimes.age(record, self._clock())

    def _asked_in_vain(self, issuer: str) -> bool:
        """Whether Magic did not answer about ``issuer`` a moment ago."""
        unanswered_s = self._unanswered_s.get(issuer)
        return unanswered_s is not None and 0 <= self._clock() - unanswered_s < RETRY_S


def key_of(issuer: str) -> str:
    """Where apps find the record."""
    return f"user:{issuer}"


_: type[Directory] = CachedDirectory
