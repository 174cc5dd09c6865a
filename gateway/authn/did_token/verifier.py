"""Verification of DID tokens, with a cache of verdicts in this process and in the store."""

import hmac
import time
from asyncio import gather
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial
from hashlib import sha256
from typing import Final, NamedTuple, Self

from gateway.authn.did_token.token import MAX_TOKEN_CHARS, TokenClaim, TokenRules, inspect
from gateway.core.errors import ExpiredToken, InvalidToken, RevokedToken, StoreUnavailable
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.ports import (
    Clock,
    Directory,
    Revocations,
    Store,
    StoredUser,
    TokenVerifier,
)
from gateway.core.reasons import TokenReason
from gateway.revocation.epoch import is_revoked, key_of
from gateway.util.hit_count import HitCount
from gateway.util.lru import LruCache

GOOD_FOR_S: Final = 300.0
"""How long this process caches a good verdict; never beyond the token's expiry."""
BAD_FOR_S: Final = 60.0
"""How long a bad verdict is cached."""


_MAX_DIGESTS: Final = 512
"""Tokens whose digest is kept, with their text: 2 MiB where all are as long as they may be."""

_TIME_BYTES = 8


class _SignatureVerdict(Enum):
    """Verdict on a signature; the value is what is sealed for the store."""

    GOOD = b"good"
    BAD = b"bad"


class _StoredVerdict(NamedTuple):
    """A verdict on a token, as gateways share it."""

    verdict: _SignatureVerdict
    proven_at_ms: int = 0
    """See `_VerifiedToken.proven_at_ms`; 0 where the signature is bad."""

    def message(self, key: str) -> bytes:
        """Return what is sealed for ``key``, which names token and rules."""
        return b"\0".join((self.verdict.value, self.time(), key.encode()))

    def time(self) -> bytes:
        """Return the time, which stands before the seal in the store."""
        return self.proven_at_ms.to_bytes(_TIME_BYTES, "big")


@dataclass(slots=True)
class _VerifiedToken:
    claim: TokenClaim
    until_s: float
    proven_at_ms: int
    """
    Unix time at which the proof was made: ``iat``, or the time it was first seen if that is
    earlier, by this gateway or by the one that stored the verdict.

    So a revocation ends a token of a fast clock, too, on gateways that see it only later.
    """
    is_stored: bool = False
    """Whether the store has the verdict."""
    identity: Identity | None = None
    """The identity as last returned; made again only when the user's metadata changes."""


class _Read(NamedTuple):
    """What the store said of a token and its issuer at one time."""

    verdict: bytes | StoreUnavailable | None
    epoch: bytes | StoreUnavailable | None
    user: StoredUser

    @classmethod
    async def of(
        cls,
        user: Awaitable[StoredUser],
        verdict: Awaitable[bytes | None],
        epoch: Awaitable[bytes | None],
    ) -> Self:
        """Wait for all three."""
        values = _value_or_failure(verdict), _value_or_failure(epoch)
        return cls(*await gather(*values, user))


class DidTokenVerifier:
    """
    Verifies DID tokens, the cheapest step first: cache, claim, stored verdict, signature,
    directory.

    Verdicts are cached under a hash of the token and of the rules (`TokenRules.epoch`). So no
    verdict is found after a change of the config, nor by the gateway of another app on the same
    store. In the store, the verdict is also sealed with a server key, for its own key name: an
    attacker with write access there can only make gateways check a signature again. Refused tokens,
    which cost an attacker nothing, have a cache of their own, so that a flood of them evicts no
    valid one.
    """

    def __init__(
        self,
        check_signature: Callable[[str, float], None],
        directory: Directory,
        store: Store,
        *,
        rules: TokenRules,
        server_key: bytes,
        capacity: int = 10_000,
        clock: Clock = time.time,
        on_early: Callable[[], object] = lambda: None,
        revocations: Revocations | None = None,
    ) -> None:
        """
        Check signatures by ``check_signature``, which gets the token and the clock skew.

        ``on_early`` is called for each new token whose ``iat`` lies ahead of our clock.
        """
        self._check_signature = check_signature
        self._directory = directory
        self._store = store
        self._rules = rules
        self._rules_epoch = rules.epoch()
        self._on_early = on_early
        self._revocations = revocations
        self._sealing_key = hmac.digest(server_key, b"gateway: verdicts on tokens", "sha256")
        self._clock = clock
        self._verified: LruCache[bytes, _VerifiedToken] = LruCache(capacity)
        self._digest_of_short = lru_cache(_MAX_DIGESTS)(partial(_digest, self._rules_epoch))
        self._refused_until_s: LruCache[bytes, float] = LruCache(capacity)
        self.lookups = HitCount()

    async def verify(self, token: str) -> Identity:
        """
        Verify ``token`` and return the identity that it proves.

        Raises `InvalidToken`, `ExpiredToken`, `RevokedToken`, `StoreUnavailable` or
        `MagicUnavailable`.
        """
        now_s = self._clock()
        digest = self._digest(token)
        verified, read = self._verified.get(digest), None
        if verified is None or now_s >= verified.until_s:
            self.lookups.misses += 1
            verified, read = await self._verify_anew(token, digest, now_s)
        else:
            self.lookups.hits += 1
        if read is not None:  # first: Magic is not asked about a caller who is refused in any case
            await self._refuse_revoked(verified, read)
        user = await self._directory.user(verified.claim.issuer, read and read.user)
        if user is None:
            raise InvalidToken(TokenReason.UNKNOWN_ISSUER)
        if read is None:
            await self._refuse_revoked(verified, None)
        if read is not None or not verified.is_stored:
            await self._write(verified, digest, read)
        if verified.identity is None or verified.identity.user is not user:
            verified.identity = _identity(user, verified)
        return verified.identity

    def knows(self, token: str) -> bool:
        """Whether ``token`` was verified here, for a known user; its signature is not enough."""
        verified = self._verified.get(self._digest(token))
        return (
            verified is not None
            and verified.identity is not None
            and self._clock() < verified.claim.expires_at_s
        )

    def _digest(self, token: str) -> bytes:
        """Return the name of ``token`` in the caches."""
        if len(token) > MAX_TOKEN_CHARS:
            return _digest(self._rules_epoch, token)
        return self._digest_of_short(token)

    async def _refuse_revoked(self, verified: _VerifiedToken, read: _Read | None) -> None:
        """Raise `RevokedToken` by the epoch in ``read``; without one, the store is asked."""
        if self._revocations is None:
            return
        issuer = verified.claim.issuer
        if read is None or isinstance(read.epoch, StoreUnavailable):
            epoch_ms = await self._revocations.epoch_ms(issuer)
        else:
            epoch_ms = self._revocations.epoch_in(read.epoch, issuer)
        if is_revoked(verified.proven_at_ms, epoch_ms):
            raise RevokedToken

    async def _refuse_revoked_since(self, verified: _VerifiedToken) -> None:
        """Raise `RevokedToken` by the epoch as it is now, unless the store is down by now."""
        with suppress(StoreUnavailable):
            await self._refuse_revoked(verified, None)

    async def _write(self, verified: _VerifiedToken, digest: bytes, read: _Read | None) -> None:
        """
        Store the verdict, and that its user has a proof, in one batch.

        Only for users: made-up issuers must not fill the store. The epoch is read again with it,
        as Magic may have been asked meanwhile, and is cached then.
        """
        claim, stored = verified.claim, read and read.user
        ends_at_ms = claim.expires_at_s * 1000
        writes: list[Awaitable[object]] = [self._directory.proven(claim.issuer, ends_at_ms, stored)]
        if not verified.is_stored:
            verified.is_stored = True
            good = _StoredVerdict(_SignatureVerdict.GOOD, verified.proven_at_ms)
            key = f"token:{digest.hex()}"
            writes += [
                self._store_verdict(key, good, claim.expires_at_s),
                self._refuse_revoked_since(verified),
            ]
        await gather(*writes)

    def _read(self, key: str, issuer: str) -> Awaitable[_Read]:
        """
        Ask for the verdict, the user and the epoch in one batch.

        Nothing of it is cached: the signature is not verified yet.
        """
        user = self._directory.read(issuer)  # first: see there
        return _Read.of(user, self._store.get(key), self._store.get(key_of(issuer)))

    async def _verify_anew(
        self, token: str, digest: bytes, now_s: float
    ) -> tuple[_VerifiedToken, _Read]:
        claim = inspect(token, self._rules, now_s)
        refused_until_s = self._refused_until_s.get(digest)
        if refused_until_s is not None and now_s < refused_until_s:
            raise InvalidToken(TokenReason.REFUSED_BEFORE)
        key = f"token:{digest.hex()}"
        proven_at_ms = int(min(claim.issued_at_s, now_s) * 1000)
        former = self._verified.get(digest)  # verifying it again makes it no younger
        if former is not None:
            proven_at_ms = min(proven_at_ms, former.proven_at_ms)
        verified = _VerifiedToken(claim, min(claim.expires_at_s, now_s + GOOD_FOR_S), proven_at_ms)
        read = await self._read(key, claim.issuer)
        stored = self._verdict_in(read.verdict, key)
        if stored is None:
            await self._verify_signature(token, digest, key, verified)
        elif stored.verdict is _SignatureVerdict.BAD:
            self._refused_until_s.put(digest, now_s + BAD_FOR_S)
            raise InvalidToken(TokenReason.REFUSED_BEFORE)
        else:
            verified.is_stored = stored.proven_at_ms <= proven_at_ms
            verified.proven_at_ms = min(proven_at_ms, stored.proven_at_ms)
            self._verified.put(digest, verified)
        return verified, read

    async def _verify_signature(
        self, token: str, digest: bytes, key: str, verified: _VerifiedToken
    ) -> None:
        """Check the signature, unless that was done while the store was asked for a verdict."""
        remembered = self._verified.get(digest)
        if remembered is not None and self._clock() < remembered.until_s:
            return
        try:
            self._check_signature(token, self._rules.clock_skew_s)
        except ExpiredToken:
            raise
        except InvalidToken:
            until_s = self._clock() + BAD_FOR_S
            self._refused_until_s.put(digest, until_s)
            await self._store_verdict(key, _StoredVerdict(_SignatureVerdict.BAD), until_s)
            raise
        self._verified.put(digest, verified)
        if verified.claim.issued_at_s > self._clock():
            self._on_early()

    def _verdict_in(
        self, record: bytes | StoreUnavailable | None, key: str
    ) -> _StoredVerdict | None:
        """Read a stored verdict; None for none, a broken seal, or a store that is down."""
        if record is None or isinstance(record, StoreUnavailable):
            return None
        proven_at_ms = int.from_bytes(record[:_TIME_BYTES], "big")
        for verdict in _SignatureVerdict:
            stored = _StoredVerdict(verdict, proven_at_ms)
            if hmac.compare_digest(record, self._sealed(stored, key)):
                return stored
        return None

    async def _store_verdict(self, key: str, verdict: _StoredVerdict, until_s: float) -> None:
        with suppress(StoreUnavailable):
            record = self._sealed(verdict, key)
            await self._store.set(key, record, expires_at_ms=int(until_s * 1000))

    def _sealed(self, verdict: _StoredVerdict, key: str) -> bytes:
        """Return the record of a verdict: its time, and the HMAC over all of it."""
        seal = hmac.digest(self._sealing_key, verdict.message(key), "sha256")
        return verdict.time() + seal


async def _value_or_failure(asked: Awaitable[bytes | None]) -> bytes | StoreUnavailable | None:
    try:
        return await asked
    except StoreUnavailable as error:
        return error


def _digest(rules_epoch: bytes, token: str) -> bytes:
    # The epoch has a fixed length, so no other epoch and token have the same hash input.
    return sha256(rules_epoch + token.encode("utf-8", "surrogatepass")).digest()


def _identity(user: User, verified: _VerifiedToken) -> Identity:
    return Identity(
        user,
        AuthMethod.DID_TOKEN,
        verified.claim.token_id,
        verified.claim.expires_at_s * 1000,
        proven_at_ms=verified.proven_at_ms,
    )


_: type[TokenVerifier] = DidTokenVerifier
