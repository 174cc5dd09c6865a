"""Sessions in the store, where only their cookies can find and open them."""

import secrets
import time
from asyncio import gather
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from gateway.errors import SessionEnded, StoreUnavailable, TokenAlreadyUsed
from gateway.invalidation import Subject
from gateway.messages import AuthMethod, Identity
from gateway.ports import Bus, Clock, Sessions, Store
from gateway.sessions.cache import SessionCache
from gateway.sessions.seal import (
    NONCE_BYTES,
    SECRET_BYTES,
    SealBroken,
    Sealer,
    is_secret,
    key_name,
    secret_from,
)
from gateway.sessions.session import Session, decode, encode, expiry_ms


class RedisSessions:
    """
    The port `Sessions` over a `Store`.

    A session that was looked up is trusted for as long as ``cache`` keeps it (a second by
    default), so one that was ended by another gateway may go on here for that long; `forget`
    shortens it. What is not known because the store does not answer is never taken for ended.
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
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._lifetime_cap_s = lifetime_cap_s
        self._token_bytes = token_bytes
        self._cache = SessionCache() if cache is None else cache
        self._bus = bus
        self.on_end: Callable[[str], object] | None = None
        """Told the key of each session that is ended here, before the store is."""
        self._forgotten = 0
        """How often something was forgotten: what was looked up meanwhile may be just that."""

    async def create(self, identity: Identity) -> tuple[str, Identity]:
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
        await self._keep(secret, Session(known, now_ms))
        if not await self._mark_used(identity):
            with suppress(StoreUnavailable):  # it ends by itself, and nobody has the cookie
                await self._store.delete(key_name(secret))
            raise TokenAlreadyUsed
        return secret, known

    async def _keep(self, secret: str, session: Session) -> None:
        sealed = self._sealer.seal(secret, encode(session), self._token_bytes(NONCE_BYTES))
        ends_ms = session.identity.expires_at_ms
        await self._store.set(key_name(secret), sealed, expires_at_ms=ends_ms)

    async def _mark_used(self, identity: Identity) -> bool:
        """Whether it was not before. A token is named by issuer and ``tid``: its text has many."""
        name = f"seen:{identity.user.issuer}:{identity.token_id}"
        return await self._store.add(name, b"1", expires_at_ms=identity.expires_at_ms)

    async def find(self, cookie: str) -> Identity:
        now_s = self._clock()
        return self._cache.get(cookie, now_s) or await self._look_up(cookie)

    async def _look_up(self, cookie: str) -> Identity:
        if not is_secret(cookie):
            raise SessionEnded("no cookie of ours")
        forgotten = self._forgotten
        sealed = await self._store.get(key_name(cookie))
        if sealed is None:
            raise SessionEnded("no such session")
        identity = self._open(cookie, sealed)
        now_s = self._clock()
        if now_s * 1000 >= identity.expires_at_ms:
            raise SessionEnded("expired")
        if forgotten == self._forgotten:
            self._cache.put(cookie, identity, now_s)
        return identity

    def _open(self, cookie: str, sealed: bytes) -> Identity:
        try:
            return decode(self._sealer.open(cookie, sealed), key_name(cookie)).identity
        except SealBroken as error:
            raise SessionEnded(f"seal broken: {error}") from error
        except ValueError as error:
            raise SessionEnded("record cannot be read") from error

    async def end(self, session_key: str) -> None:
        """
        Forget the session, here and in the store, and tell all gateways. Raises `StoreUnavailable`.

        Here twice: a look-up may have come before this in the store and be answered after it. The
        others are told last: they ask the store, which must not have it any more.
        """
        self.forget(session_key)
        if self.on_end is not None:
            self.on_end(session_key)
        try:
            await self._store.delete(session_key)
        finally:
            self.forget(session_key)
        if self._bus is not None:
            await self._bus.publish(Subject.SESSION, session_key)

    def forget(self, session_key: str) -> None:
        """Ask the store the next time, whatever a look-up that is under way will find."""
        self._forgotten += 1
        self._cache.drop(session_key)

    def forget_all(self) -> None:
        """Ask the store about every session the next time."""
        self._forgotten += 1
        self._cache.drop_all()


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
