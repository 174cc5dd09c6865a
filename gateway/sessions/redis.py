"""Storage of sessions: only the cookie of a session can find and open its record."""

import secrets
import time
from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from gateway.core.errors import RevokedSession, SessionEnded, StoreUnavailable, TokenAlreadyUsed
from gateway.core.event import Notice
from gateway.core.event_ports import SignIns, ToldChanges
from gateway.core.identity import (
    UNKNOWN_BROWSER,
    AuthMethod,
    Browser,
    Identity,
    SessionEnd,
    SessionSummary,
    User,
)
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Bus, Clock, Revocations, Script, Sessions, Store
from gateway.core.reasons import SessionEndReason
from gateway.core.replies import is_count
from gateway.revocation.epoch import is_revoked, key_of
from gateway.sessions.absent import ended
from gateway.sessions.cache import CachedSession, SessionCache
from gateway.sessions.email_index import EmailIndex
from gateway.sessions.idle import IdleTracker
from gateway.sessions.index import SessionIndex
from gateway.sessions.latest import latest
from gateway.sessions.listing import ListEntry, SignIn, summary_of
from gateway.sessions.marks import TokenMarks
from gateway.sessions.seal import (
    SECRET_BYTES,
    SealBroken,
    Sealer,
    is_secret,
    key_name,
    secret_from,
)
from gateway.sessions.session import Session, decode, encode, expiry_ms
from gateway.util.hit_count import HitCount

END: Final = Script.packaged("gateway.sessions", "end", is_count)

MAX_OF_ISSUER = 100
"""Sessions of one user at a time; one more ends the oldest."""

LISTED_BEFORE_STORED_S = 60
"""A session that was listed more recently than this may not be in the store yet."""


class RedisSessions:
    """
    The port `Sessions` over a `Store`.

    A look-up is cached while it is fresh (a second by default), so a session that another gateway
    has ended may stay valid here for that long; `forget` shortens it. While the store is
    unavailable, no session counts as ended: cached ones stay valid for the grace period of
    ``cache``, unless they were ended here or their issuer was revoked.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        clock: Clock = time.time,
        lifetime_cap_s: float | None = None,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
        cache: SessionCache | None = None,
        bus: Bus | None = None,
        revocations: Revocations | None = None,
        on_grace: Callable[[], object] = lambda: None,
        *,
        idle_s: float | None = None,
        reads_lag: bool = False,
        sign_ins: SignIns | None = None,
        changes: ToldChanges | None = None,
    ) -> None:
        """
        Call ``on_grace`` for each request that is admitted by a stale cached session.

        ``idle_s`` is the idle time-out of sessions; None for none. ``reads_lag`` says that the
        store may not see yet what was written a moment ago. ``sign_ins`` marks tokens as used;
        without it that is all that is recorded. ``changes`` records what is told of ends; without
        it nothing is.
        """
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._lifetime_cap_s = lifetime_cap_s
        self._idle_s = idle_s
        self._token_bytes = token_bytes
        self._cache = SessionCache() if cache is None else cache
        self._bus = bus
        self._revocations = revocations
        self._on_grace = on_grace
        self._reads_lag = reads_lag
        self._sign_ins = TokenMarks(store) if sign_ins is None else sign_ins
        self._changes = changes
        self.on_end: Callable[[str], object] | None = None
        """Called with the key of each session that is ended here, before the store is asked."""
        self.on_created: Callable[[User], object] = lambda _user: None
        self.on_ended: Callable[[SessionEnd], object] = lambda _reason: None
        """Called when a session that there was has been ended."""
        self._index = SessionIndex(store, sealer)
        self._emails = EmailIndex(store)
        self._idle_tracker = (
            None if idle_s is None else IdleTracker(store, self._index, clock, idle_s)
        )
        self.latest: Callable[[User, int], User] = lambda user, _ends_at_ms: user
        """
        Returns a user's current metadata; the record holds that of the sign-in.

        Gets the end of the session, too, until which apps can read the user; 0 where it is not
        known yet whether the session is valid.
        """
        self.lookups = HitCount()
        self._invalidations = 0
        """Number of invalidations: a look-up during which it changes is not cached."""

    async def create(
        self, identity: Identity, browser: Browser = UNKNOWN_BROWSER
    ) -> tuple[str, Identity]:
        """
        Exchange the identity of a DID token for a session; return the cookie's value and identity.

        All that is stored for it goes in one batch: the session, its places on the lists, and then
        the mark of the token, which is taken back where the session could not be stored.
        """
        secret = secret_from(self._token_bytes(SECRET_BYTES))
        now_ms = int(self._clock() * 1000)
        known = replace(
            identity,
            method=AuthMethod.SESSION,
            expires_at_ms=expiry_ms(identity, self._lifetime_cap_s, now_ms),
            session_key=key_name(secret),
        )
        stored = gather(
            self._enlist(known, SignIn(browser, now_ms)),
            self._store_session(secret, Session(known, now_ms)),
            self._enlist_email(known),
        )
        marked = self._sign_ins.record(identity, browser, str(known.session_key))
        outcome, is_new = await gather(stored, marked, return_exceptions=True)
        if isinstance(outcome, BaseException):
            if is_new is True:
                with suppress(StoreUnavailable):
                    await self._sign_ins.take_back(identity)
            raise outcome
        if is_new is not True:
            with suppress(StoreUnavailable):  # it expires by itself, and its cookie was never sent
                await self._remove(key_name(secret), identity.user.issuer)
            raise is_new if isinstance(is_new, BaseException) else TokenAlreadyUsed
        self.on_created(identity.user)
        count, *_ = outcome
        if count > MAX_OF_ISSUER:
            with suppress(StoreUnavailable):
                await self._end_oldest(identity.user.issuer)
        return secret, known

    async def _store_session(self, secret: str, session: Session) -> None:
        sealed = self._sealer.seal(secret, encode(session))
        ends_ms = session.identity.expires_at_ms
        if self._idle_s is not None:
            ends_ms = min(ends_ms, session.created_at_ms + round(self._idle_s * 1000))
        await self._store.set(key_name(secret), sealed, expires_at_ms=ends_ms)

    async def _enlist(self, identity: Identity, sign_in: SignIn) -> int:
        key, ends_ms = str(identity.session_key), identity.expires_at_ms
        return await self._index.add(identity.user.issuer, key, ends_ms, sign_in)

    async def _enlist_email(self, identity: Identity) -> None:
        user = identity.user
        if user.email is not None:
            await self._emails.add(user.email, user.issuer, identity.expires_at_ms)

    async def _end_oldest(self, issuer: str) -> None:
        live = await self._live(issuer)
        await self._end_each(live[MAX_OF_ISSUER:], issuer, "too_many")

    async def find(self, cookie: str) -> Identity:
        now_s = self._clock()
        known = self._cache.get(cookie, now_s)
        if known is not None:
            self.lookups.hits += 1
            return known
        self.lookups.misses += 1
        return await self._look_up_or_recall(cookie)

    async def _look_up_or_recall(self, cookie: str) -> Identity:
        """Look the session up; while the store is unavailable, use the cached one in its grace."""
        try:
            return await self._look_up(cookie)
        except SessionEnded:
            self._cache.drop_cookie(cookie)
            raise
        except StoreUnavailable:
            known = self._cache.recall(cookie, self._clock())
            if known is None:
                raise
            self._on_grace()
            return known

    async def _look_up(self, cookie: str) -> Identity:
        invalidations, known = self._invalidations, self._cache.peek(cookie)
        asked_s = self._clock()  # what happens after that, the reply may miss
        if known is None:
            session, epoch_ms = await self._read(cookie)
        else:
            session, epoch_ms = await self._read_again(cookie, known)
        if self._clock() * 1000 >= session.identity.expires_at_ms:
            raise SessionEnded(SessionEndReason.EXPIRED)
        if is_revoked(session.identity.proven_at_ms, epoch_ms):
            raise RevokedSession
        session = self._with_latest_user(session)
        if invalidations == self._invalidations:
            self._cache.put(cookie, session, asked_s)
        if self._idle_tracker is not None:
            self._idle_tracker.note(session.identity)
        return session.identity

    async def _read(self, cookie: str) -> tuple[CachedSession, int | None]:
        """Read a session that is not cached, then the epoch of its issuer, and its metadata."""
        if not is_secret(cookie):
            raise SessionEnded(SessionEndReason.COOKIE_MALFORMED)
        key = key_name(cookie)
        session = await self._opened(cookie, key, await self._store.get(key))
        self.latest(session.recorded, 0)  # in the same batch; the session may be revoked
        issuer = session.recorded.issuer
        return session, self._epoch_ms(await self._store.get(key_of(issuer)), issuer)

    async def _read_again(
        self, cookie: str, known: CachedSession
    ) -> tuple[CachedSession, int | None]:
        """Read a session and its issuer's epoch; return ``known`` for an unchanged record."""
        issuer, key = known.recorded.issuer, str(known.identity.session_key)
        sealed, record = await self._store.get_pair(key, key_of(issuer))
        if sealed == known.sealed:
            return known, self._epoch_ms(record, issuer)
        session = await self._opened(cookie, key, sealed)
        if session.recorded.issuer != issuer:
            issuer = session.recorded.issuer
            record = await self._store.get(key_of(issuer))
        return session, self._epoch_ms(record, issuer)

    async def _opened(self, cookie: str, key: str, sealed: bytes | None) -> CachedSession:
        """
        Open a record; read it once more where it does not open.

        What was garbled on its way must not end a session: only what the store really holds may.
        Where reads lag, one that is absent is asked for again, too.
        """
        if sealed is None and self._reads_lag:
            sealed = await latest(self._store, key)
        try:
            return self._open(cookie, key, sealed)
        except SessionEnded:
            if sealed is None or (again := await self._store.get(key)) == sealed:
                raise
        try:
            return self._open(cookie, key, again)
        except SessionEnded:
            if again is None:
                raise
            raise StoreUnavailable("its replies differ") from None

    def _epoch_ms(self, record: bytes | None, issuer: str) -> int | None:
        return None if self._revocations is None else self._revocations.epoch_in(record, issuer)

    def _open(self, cookie: str, key: str, sealed: bytes | None) -> CachedSession:
        if sealed is None:
            raise SessionEnded(SessionEndReason.UNKNOWN)
        try:
            identity = decode(self._sealer.open(cookie, sealed, key), key).identity
        except SealBroken as error:
            raise SessionEnded(SessionEndReason.SEAL_BROKEN) from error
        except ValueError as error:
            raise SessionEnded(SessionEndReason.UNREADABLE) from error
        return CachedSession(identity, identity.user, sealed)

    def _with_latest_user(self, session: CachedSession) -> CachedSession:
        """Return the session with the current metadata of its user: itself, if it has that."""
        user = self.latest(session.recorded, session.identity.expires_at_ms)
        if user is session.identity.user:
            return session
        recorded = user if user == session.recorded else session.recorded  # equal: keep one
        return CachedSession(replace(session.identity, user=user), recorded, session.sealed)

    async def end(
        self,
        session_key: str,
        issuer: str | None = None,
        notices: Sequence[Notice] = (),
        *,
        reason: SessionEnd = "signed_out",
    ) -> None:
        """
        End the session, here, in the store and on all gateways. Raises `StoreUnavailable`.

        Removes it from the list of ``issuer`` too, and records the ``notices``, unless it had ended
        before. The local cache is invalidated twice, because a
        look-up may have reached the store before the deletion and return after it. The other
        gateways are told last, because they ask the store, which must not have it any more.
        """
        self.forget(session_key)
        if self.on_end is not None:
            self.on_end(session_key)
        try:
            if await self._remove(session_key, issuer, notices):
                self.on_ended(reason)
        finally:
            self.forget(session_key)
        if self._bus is not None:
            await self._bus.publish(InvalidationKind.SESSION, session_key)

    async def _remove(
        self, session_key: str, issuer: str | None, notices: Sequence[Notice] = ()
    ) -> bool:
        """Delete a session; return whether there was one."""
        removing = [self._deleted(session_key, notices)]
        if issuer is not None:
            removing.append(self._index.remove(issuer, [session_key]))
        was_there, *_ = await gather(*removing)
        return bool(was_there)

    def _deleted(self, session_key: str, notices: Sequence[Notice]) -> Awaitable[object]:
        if self._changes is not None and (told := self._changes.wanted(notices)):
            return self._changes.make(END, session_key, (), told)
        return self._store.delete(session_key)

    async def unlist(self, session_key: str, issuer: str) -> None:
        """Remove the session from the issuer's list; it stays valid. Raises `StoreUnavailable`."""
        await self._index.remove(issuer, [session_key])

    async def end_all(self, issuer: str, listed: Sequence[SessionSummary] | None = None) -> int:
        live = await self._live(issuer) if listed is None else listed
        await self._end_each(live, issuer, "revoked")
        return len(live)

    async def _end_each(
        self, entries: Sequence[ListEntry | SessionSummary], issuer: str, reason: SessionEnd
    ) -> None:
        await gather(*(self.end(entry.session_key, issuer, reason=reason) for entry in entries))

    async def list_for(self, issuer: str) -> list[SessionSummary]:
        """List the live sessions of ``issuer``, the newest first. Raises `StoreUnavailable`."""
        is_used = self._idle_tracker is not None
        return [summary_of(entry, is_used=is_used) for entry in await self._live(issuer)]

    async def _live(self, issuer: str) -> list[ListEntry]:
        """List the sessions that have a record; remove those without one from the list."""
        entries = await self._index.entries(issuer)
        keys = [entry.session_key for entry in entries]
        gone = await ended(self._store, keys, reads_lag=self._reads_lag)
        listed_before_ms = (self._clock() - LISTED_BEFORE_STORED_S) * 1000
        await self._index.remove(
            issuer,
            [
                entry.session_key
                for entry in entries
                if entry.session_key in gone and entry.seen_at_ms < listed_before_ms
            ],
        )
        return [entry for entry in entries if entry.session_key not in gone]

    def forget(self, session_key: str) -> None:
        """Drop a session from the cache; look-ups that are under way are not cached either."""
        self._invalidations += 1
        self._cache.drop(session_key)

    def forget_issuer(self, issuer: str) -> None:
        """Drop all sessions of ``issuer`` from the cache."""
        self._invalidations += 1
        self._cache.drop_issuer(issuer)

    def forget_all(self) -> None:
        """Mark all sessions stale; they are used only while the store is unavailable."""
        self._invalidations += 1
        self._cache.mark_all_stale()

    async def aclose(self) -> None:
        """Wait for writes in the background."""
        if self._idle_tracker is not None:
            await self._idle_tracker.aclose()


_: type[Sessions] = RedisSessions
