"""Sessions in the store, where only their cookies can find and open them."""

import secrets
import time
from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from gateway.core.errors import (
    RevokedSession,
    SessionEnded,
    StoreUnavailable,
    TokenAlreadyUsed,
)
from gateway.core.identity import (
    UNKNOWN_BROWSER,
    AuthMethod,
    Browser,
    Identity,
    SessionSummary,
    User,
)
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import (
    Bus,
    Clock,
    Revocations,
    Sessions,
    Store,
)
from gateway.core.reasons import SessionEndReason
from gateway.revocation.epoch import is_revoked
from gateway.sessions.cache import SessionCache
from gateway.sessions.idle import IdleTracker
from gateway.sessions.index import SessionIndex
from gateway.sessions.listing import ListEntry, SignIn, summary_of
from gateway.sessions.seal import (
    NONCE_BYTES,
    SECRET_BYTES,
    SealBroken,
    Sealer,
    is_secret,
    key_name,
    secret_from,
)
from gateway.sessions.session import (
    Session,
    decode,
    encode,
    expiry_ms,
)

MAX_OF_ISSUER = 100
"""Sessions of one person at a time: one more ends the oldest."""

SETTLED_S = 60
"""A session that is on the list for less may not be in the store yet."""


class RedisSessions:
    """
    The port `Sessions` over a `Store`.

    A session that was looked up is trusted for as long as ``cache`` keeps it (a second by
    default), so one that was ended by another gateway may go on here for that long; `forget`
    shortens it. What is not known because the store does not answer is never taken for ended: whom
    ``cache`` remembers goes on for its grace, unless their session was ended here, or they were
    revoked.
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
    ) -> None:
        """
        ``on_grace`` is called for each request that is let in by what was known before.

        ``idle_s``: after how long without use a session ends; None: it need not be used.
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
        self.on_end: Callable[[str], object] | None = None
        """Told the key of each session that is ended here, before the store is."""
        self._index = SessionIndex(store, sealer, token_bytes)
        self._uses = None if idle_s is None else IdleTracker(store, self._index, clock, idle_s)
        self.latest: Callable[[User], User] = lambda user: user
        """What is known by now of who signed in: the record says what was known then."""
        self._forgotten = 0
        """How often something was forgotten: what was looked up meanwhile may be just that."""

    async def create(
        self, identity: Identity, browser: Browser = UNKNOWN_BROWSER
    ) -> tuple[str, Identity]:
        """
        Exchange what a DID token proved for a session: the cookie's value, and its identity.

        The session comes first and the mark on the token second, so that a failure in between
        leaves a session without a cookie, which nobody can use, and a token that still can be.
        """
        secret = secret_from(self._token_bytes(SECRET_BYTES))
        now_ms = int(self._clock() * 1000)
        known = replace(
            identity,
            method=AuthMethod.SESSION,
            expires_at_ms=expiry_ms(identity, self._lifetime_cap_s, now_ms),
            session_key=key_name(secret),
        )
        _, count = await gather(
            self._keep(secret, Session(known, now_ms)), self._enlist(known, SignIn(browser, now_ms))
        )
        if not await self._mark_used(identity):
            with suppress(StoreUnavailable):  # it ends by itself, and nobody has the cookie
                await self._remove(key_name(secret), identity.user.issuer)
            raise TokenAlreadyUsed
        if count > MAX_OF_ISSUER:
            with suppress(StoreUnavailable):
                await self._end_oldest(identity.user.issuer)
        return secret, known

    async def _keep(self, secret: str, session: Session) -> None:
        sealed = self._sealer.seal(secret, encode(session), self._token_bytes(NONCE_BYTES))
        ends_ms = session.identity.expires_at_ms
        if self._idle_s is not None:
            ends_ms = min(ends_ms, session.created_at_ms + round(self._idle_s * 1000))
        await self._store.set(key_name(secret), sealed, expires_at_ms=ends_ms)

    async def _enlist(self, identity: Identity, sign_in: SignIn) -> int:
        key, ends_ms = str(identity.session_key), identity.expires_at_ms
        return await self._index.add(identity.user.issuer, key, ends_ms, sign_in)

    async def _end_oldest(self, issuer: str) -> None:
        living = await self._living(issuer)
        await gather(*(self.end(old.session_key, issuer) for old in living[MAX_OF_ISSUER:]))

    async def _mark_used(self, identity: Identity) -> bool:
        """Whether it was not before. A token is named by issuer and ``tid``: its text has many."""
        name = f"seen:{identity.user.issuer}:{identity.token_id}"
        return await self._store.add(name, b"1", expires_at_ms=identity.expires_at_ms)

    async def find(self, cookie: str) -> Identity:
        now_s = self._clock()
        return self._cache.get(cookie, now_s) or await self._found(cookie)

    async def _found(self, cookie: str) -> Identity:
        """As the store says; where it says nothing, as it said a moment ago."""
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
        if not is_secret(cookie):
            raise SessionEnded(SessionEndReason.COOKIE_MALFORMED)
        forgotten = self._forgotten
        issuer = self._cache.issuer_of(cookie)
        sealed, epoch_ms = await self._asked(key_name(cookie), issuer)
        if sealed is None:
            raise SessionEnded(SessionEndReason.UNKNOWN)
        identity = self._open(cookie, sealed)
        now_s = self._clock()
        if now_s * 1000 >= identity.expires_at_ms:
            raise SessionEnded(SessionEndReason.EXPIRED)
        if identity.user.issuer != issuer:
            epoch_ms = await self._epoch_ms(identity.user.issuer)
        if is_revoked(identity.proven_at_ms, epoch_ms):
            raise RevokedSession
        user = self.latest(identity.user)
        if user != identity.user:
            identity = replace(identity, user=user)
        if forgotten == self._forgotten:
            self._cache.put(cookie, identity, now_s)
        if self._uses is not None:
            self._uses.note(identity)
        return identity

    async def _asked(self, key: str, issuer: str | None) -> tuple[bytes | None, int | None]:
        """The sealed session and, where it is known whose it was, the epoch: one round trip."""
        if issuer is None:
            return await self._store.get(key), None
        return await gather(self._store.get(key), self._epoch_ms(issuer))

    async def _epoch_ms(self, issuer: str) -> int | None:
        return await self._revocations.epoch_ms(issuer) if self._revocations else None

    def _open(self, cookie: str, sealed: bytes) -> Identity:
        try:
            return decode(self._sealer.open(cookie, sealed), key_name(cookie)).identity
        except SealBroken as error:
            raise SessionEnded(SessionEndReason.SEAL_BROKEN) from error
        except ValueError as error:
            raise SessionEnded(SessionEndReason.UNREADABLE) from error

    async def end(self, session_key: str, issuer: str | None = None) -> None:
        """
        Forget the session, here and in the store, and tell all gateways. Raises `StoreUnavailable`.

        It is taken off the list of ``issuer`` too. Here it is forgotten twice: a look-up may have
        come before this in the store and be answered after it. The others are told last: they ask
        the store, which must not have it any more.
        """
        self.forget(session_key)
        if self.on_end is not None:
            self.on_end(session_key)
        try:
            await self._remove(session_key, issuer)
        finally:
            self.forget(session_key)
        if self._bus is not None:
            await self._bus.publish(InvalidationKind.SESSION, session_key)

    async def _remove(self, session_key: str, issuer: str | None) -> None:
        removing: list[Awaitable[object]] = [self._store.delete(session_key)]
        if issuer is not None:
            removing.append(self._index.remove(issuer, [session_key]))
        await gather(*removing)

    async def unlist(self, session_key: str, issuer: str) -> None:
        """Take the session off the list of ``issuer``; it goes on. Raises `StoreUnavailable`."""
        await self._index.remove(issuer, [session_key])

    async def end_all(self, issuer: str) -> int:
        """End all sessions of ``issuer``; how many there were. Raises `StoreUnavailable`."""
        living = await self._living(issuer)
        await gather(*(self.end(entry.session_key, issuer) for entry in living))
        return len(living)

    async def list_for(self, issuer: str) -> list[SessionSummary]:
        """The living sessions of ``issuer``, the newest first. Raises `StoreUnavailable`."""
        is_used = self._uses is not None
        return [summary_of(entry, is_used=is_used) for entry in await self._living(issuer)]

    async def _living(self, issuer: str) -> list[ListEntry]:
        """What is on the list and in the store; what is only on the list is taken off it."""
        entries = await self._index.entries(issuer)
        gone = await ended(self._store, [entry.session_key for entry in entries])
        settled_ms = (self._clock() - SETTLED_S) * 1000
        await self._index.remove(
            issuer,
            [
                entry.session_key
                for entry in entries
                if entry.session_key in gone and entry.seen_at_ms < settled_ms
            ],
        )
        return [entry for entry in entries if entry.session_key not in gone]

    def forget(self, session_key: str) -> None:
        """Ask the store the next time, whatever a look-up that is under way will find."""
        self._forgotten += 1
        self._cache.drop(session_key)

    def forget_issuer(self, issuer: str) -> None:
        """Ask the store about all sessions of ``issuer`` the next time."""
        self._forgotten += 1
        self._cache.drop_issuer(issuer)

    def forget_all(self) -> None:
        """Ask the store about every session the next time; without it, what was known holds on."""
        self._forgotten += 1
        self._cache.stale_all()

    async def aclose(self) -> None:
        """Wait for what is being written behind the requests' backs."""
        if self._uses is not None:
            await self._uses.aclose()


async def ended(store: Store, session_keys: Sequence[str]) -> frozenset[str]:
    """
    Those of the sessions that the store has no more, whatever was seen of them before.

    While it does not answer, none of them is.
    """
    records = await gather(*map(store.get, session_keys), return_exceptions=True)
    return frozenset(
        key for key, record in zip(session_keys, records, strict=True) if record is None
    )


_: type[Sessions] = RedisSessions
