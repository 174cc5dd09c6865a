"""Verification of API keys, with a cache of their records."""

import time
from typing import NamedTuple

from gateway.authn.api_key.key import ApiKey, is_secret_of, parse_key
from gateway.authn.api_key.redis import RedisApiKeys
from gateway.core.errors import (
    ExpiredApiKey,
    InvalidApiKey,
    RateLimited,
    RevokedApiKey,
    StoreUnavailable,
)
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.issuer import SERVICE
from gateway.core.ports import Clock, Directory, Limiter, TokenVerifier
from gateway.util.hit_count import HitCount
from gateway.util.lru import LruCache
from gateway.util.spread import Spread

FRESH_S = 1.0
"""The longest that a record is cached; an invalidation ends that sooner."""
GRACE_S = 30.0
"""How long a cached record is used while the store is unavailable."""
UNKNOWN_S = 10.0
"""How long it is cached that an id is unknown. Ids are random: none is used before it exists."""
_NOTE_USE_EVERY_S = 60.0
"""How often the use of a key is recorded."""


class _CachedKey(NamedTuple):
    key: ApiKey
    looked_up_at_s: float
    generation: int
    fresh_s: float


class ApiKeyVerifier:
    """
    Verifies API keys.

    A record is cached for a second, or until this gateway hears that the key was revoked; while the
    store is unavailable, for half a minute. Unknown ids have a cache of their own, so that a flood
    of them evicts no key.
    """

    def __init__(
        self,
        keys: RedisApiKeys,
        directory: Directory,
        limiter: Limiter,
        *,
        clock: Clock = time.time,
        capacity: int = 10_000,
    ) -> None:
        self._keys = keys
        self._directory = directory
        self._limiter = limiter
        self._clock = clock
        self._known: LruCache[str, _CachedKey] = LruCache(capacity)
        self._unknown_until_s: LruCache[str, float] = LruCache(capacity)
        self._identities: LruCache[str, Identity] = LruCache(capacity)
        self._use_noted_at_s: LruCache[str, float] = LruCache(capacity)
        self._spread = Spread()
        self.lookups = HitCount()
        self._invalidations = 0
        """Number of invalidations: a look-up during which it changes is not cached."""
        self._generation = 0
        """Records that were cached in an earlier generation are not fresh."""

    async def verify(self, token: str) -> Identity:
        """
        Verify a key and return the identity of its owner.

        Raises `InvalidApiKey`, `ExpiredApiKey`, `RevokedApiKey`, `RateLimited`, `StoreUnavailable`
        or `MagicUnavailable`.
        """
        parts = parse_key(token)
        if parts is None:
            raise InvalidApiKey("malformed")
        key = await self._key(parts.id)
        if not is_secret_of(key, parts.secret):
            raise InvalidApiKey(f"wrong secret for {key.id}")
        now_s = self._clock()
        match key.state(int(now_s * 1000)):
            case "revoked":
                raise RevokedApiKey(key.id)
            case "expired":
                raise ExpiredApiKey(key.id)
        identity = await self._identity(key)
        if key.limit is not None:
            state = await self._limiter.spend(key.limit, key.id)
            if not state.allowed:
                raise RateLimited(state)
        if now_s - (self._use_noted_at_s.get(key.id) or 0.0) >= _NOTE_USE_EVERY_S:
            self._use_noted_at_s.put(key.id, now_s)
            await self._keys.note_use(key)
        return identity

    def knows(self, token: str) -> bool:
        """Whether ``token`` is a key whose record is in the cache."""
        parts = parse_key(token)
        known = self._known.get(parts.id) if parts else None
        return known is not None and parts is not None and is_secret_of(known.key, parts.secret)

    def forget(self, key_id: str) -> None:
        """Drop a key from the cache; it is not valid while the store is unavailable."""
        self._invalidations += 1
        self._known.forget(key_id)
        self._unknown_until_s.forget(key_id)

    def forget_all(self) -> None:
        """Mark all keys stale; cached records are used only while the store is unavailable."""
        self._invalidations += 1
        self._generation += 1

    async def _key(self, key_id: str) -> ApiKey:
        now_s = self._clock()
        known = self._known.get(key_id)
        if (
            known is not None
            and known.generation == self._generation
            and 0 <= now_s - known.looked_up_at_s < known.fresh_s
        ):
            self.lookups.hits += 1
            return known.key
        self.lookups.misses += 1
        unknown_until_s = self._unknown_until_s.get(key_id)
        if unknown_until_s is not None and 0 < unknown_until_s - now_s <= UNKNOWN_S:
            raise InvalidApiKey("no such key")
        return await self._look_up(key_id, now_s)

    async def _look_up(self, key_id: str, now_s: float) -> ApiKey:
        invalidations = self._invalidations
        try:
            key = await self._keys.get(key_id)
        except StoreUnavailable:
            known = self._known.get(key_id)
            if known is None or not 0 <= now_s - known.looked_up_at_s < GRACE_S:
                raise
            return known.key
        if key is None:
            self._unknown_until_s.put(key_id, now_s + UNKNOWN_S)
            raise InvalidApiKey("no such key")
        if invalidations == self._invalidations:
            fresh_s = FRESH_S * self._spread.share()
            self._known.put(key_id, _CachedKey(key, now_s, self._generation, fresh_s))
        return key

    async def _identity(self, key: ApiKey) -> Identity:
        """Return the identity of the owner, with a user's metadata; the same object while it is."""
        known = self._identities.get(key.id)
        if key.owner.startswith(SERVICE):
            user = known.user if known is not None else User(key.owner)
        else:
            found = await self._directory.user(key.owner)
            if found is None:
                raise InvalidApiKey(f"the owner of {key.id} is no user")
            user = found
        if known is None or known.user is not user:
            known = Identity(
                user,
                AuthMethod.API_KEY,
                key.id,
                key.expires_at_ms,
                proven_at_ms=key.created_at_ms,
                scopes=key.scopes,
            )
            self._identities.put(key.id, known)
        return known


_: type[TokenVerifier] = ApiKeyVerifier
