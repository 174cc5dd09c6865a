"""Who is a user of Magic's: asked here, then in the store, then of Magic itself."""

import time
from contextlib import suppress
from typing import NamedTuple, Protocol

from gateway.errors import MagicUnavailable, StoreUnavailable
from gateway.identity.bounded import Bounded
from gateway.identity.metadata import decode_user, encode_user
from gateway.identity.single_flight import SingleFlight
from gateway.messages import User
from gateway.ports import Clock, Directory, Store


class Source(Protocol):
    """The last instance on who is a user: Magic's admin API, or development mode."""

    async def user(self, issuer: str) -> User | None:
        """As `Directory.user`; raises `MagicUnavailable` alone."""


class _Known(NamedTuple):
    user: User
    since_s: float
    """When the store or Magic last said so."""


class CachedDirectory:
    """
    Asks Magic once for each issuer and ``metadata_ttl_s``, however many gateways there are.

    A local copy answers for ``fresh_s``, and for up to ``metadata_ttl_s`` while the store, or
    Magic, cannot be reached. That an issuer is unknown is remembered here alone, for
    ``stranger_s``: ``user:{issuer}`` is read by apps, and holds users only. Strangers, whom anybody
    can make up, have a memory of their own, so that a flood of them pushes out no user.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        *,
        metadata_ttl_s: float,
        fresh_s: float = 1.0,
        stranger_s: float = 60.0,
        capacity: int = 10_000,
        clock: Clock = time.time,
    ) -> None:
        self._source = source
        self._store = store
        self._metadata_ttl_s = metadata_ttl_s
        self._fresh_s = fresh_s
        self._stranger_s = stranger_s
        self._clock = clock
        self._known: Bounded[str, _Known] = Bounded(capacity)
        self._strangers: Bounded[str, float] = Bounded(capacity)
        self._lookups: SingleFlight[str, User | None] = SingleFlight()

    async def user(self, issuer: str) -> User | None:
        """What Magic knows of ``issuer``. Raises `MagicUnavailable` or `StoreUnavailable`."""
        known = self._known.get(issuer)
        if known is not None and 0 <= self._clock() - known.since_s < self._fresh_s:
            return known.user
        unknown_since_s = self._strangers.get(issuer)
        if unknown_since_s is not None and (
            0 <= self._clock() - unknown_since_s < self._stranger_s
        ):
            return None
        return await self._lookups.run(issuer, lambda: self._look_up(issuer))

    async def learn(self, user: User) -> None:
        """Remember, here and in the store, what Magic said; a store that is down is passed over."""
        self._remember(user)
        expires_at_ms = int((self._clock() + self._metadata_ttl_s) * 1000)
        with suppress(StoreUnavailable):
            await self._store.set(_key(user.issuer), encode_user(user), expires_at_ms=expires_at_ms)

    def forget(self, issuer: str) -> None:
        """Drop the local copy: the record in the store was changed or deleted."""
        self._known.forget(issuer)
        self._strangers.forget(issuer)

    async def aclose(self) -> None:
        await self._lookups.aclose()

    async def _look_up(self, issuer: str) -> User | None:
        try:
            user = await self._stored(issuer)
            if user is None:
                return await self._ask(issuer)
        except (StoreUnavailable, MagicUnavailable):
            stale = self._stale(issuer)
            if stale is None:
                raise
            return stale
        self._remember(user)
        return user

    async def _stored(self, issuer: str) -> User | None:
        record = await self._store.get(_key(issuer))
        return None if record is None else decode_user(record, issuer)

    async def _ask(self, issuer: str) -> User | None:
        user = await self._source.user(issuer)
        if user is None:
            self._known.forget(issuer)
            self._strangers.put(issuer, self._clock())
        else:
            await self.learn(user)
        return user

    def _stale(self, issuer: str) -> User | None:
        known = self._known.get(issuer)
        if known is None or self._clock() - known.since_s >= self._metadata_ttl_s:
            return None
        return known.user

    def _remember(self, user: User) -> None:
        self._strangers.forget(user.issuer)
        self._known.put(user.issuer, _Known(user, self._clock()))


def _key(issuer: str) -> str:
    return f"user:{issuer}"


_: type[Directory] = CachedDirectory
