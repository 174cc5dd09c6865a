"""Verification of JWTs of configured issuers, with a cache of verified tokens."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from joserfc.jws import JWSRegistry

from gateway.authn.jwt.first_seen import FirstSeen
from gateway.authn.jwt.key_set import Key, KeySource
from gateway.authn.jwt.token import ParsedJwt, TrustedIssuer, inspect, issuer_of, parse
from gateway.core.errors import InvalidToken, RevokedToken
from gateway.core.identity import AuthMethod, Identity
from gateway.core.ports import Clock, Revocations, TokenVerifier
from gateway.revocation.epoch import is_revoked
from gateway.util.hit_count import HitCount
from gateway.util.lru import LruCache

GOOD_FOR_S: Final = 300.0
"""How long a verdict is cached; never beyond the token's expiry, nor beyond a change of keys."""


class IssuerWithKeys(NamedTuple):
    """A trusted issuer and the source of its keys."""

    issuer: TrustedIssuer
    source: KeySource


@dataclass(slots=True)
class _VerifiedJwt:
    identity: Identity
    until_s: float
    source: KeySource
    version: int
    """Version of the keys that verified it."""
    not_seen_by_ms: int = -1
    """The epoch up to which no gateway had seen it, as the store said last."""


class JwtVerifier:
    """Verifies JWTs, the cheapest step first: cache, claims, keys of the issuer, signature."""

    def __init__(
        self,
        trusted: Sequence[IssuerWithKeys],
        revocations: Revocations,
        first_seen: FirstSeen,
        *,
        method: AuthMethod = AuthMethod.JWT,
        clock: Clock = time.time,
        capacity: int = 10_000,
    ) -> None:
        """``method`` is that of the identities: it tells whether browsers send the tokens."""
        self._method = method
        self._issuers = {issuer.name: issuer for issuer, _ in trusted}
        self._sources = {issuer.name: source for issuer, source in trusted}
        self._revocations = revocations
        self._first_seen = first_seen
        self._skew_ms = int(max((known.clock_skew_s for known, _ in trusted), default=0) * 1000)
        self._clock = clock
        self._verified: LruCache[bytes, _VerifiedJwt] = LruCache(capacity)
        self.lookups = HitCount()

    async def verify(self, token: str) -> Identity:
        """
        Verify ``token`` and return the identity that it proves.

        Raises `InvalidToken`, `ExpiredToken`, `RevokedToken`, `KeysUnavailable` or
        `StoreUnavailable`.
        """
        verified = self._known(token)
        if verified is not None and self._clock() < verified.until_s:
            self.lookups.hits += 1
        else:
            self.lookups.misses += 1
            verified = await self._verify_anew(token)
        identity = verified.identity
        epoch_ms = await self._revocations.epoch_ms(identity.user.issuer)
        if epoch_ms is not None and await self._is_revoked(token, verified, epoch_ms):
            raise RevokedToken
        return identity

    def knows(self, token: str) -> bool:
        verified = self._known(token)
        return verified is not None and self._clock() * 1000 < verified.identity.expires_at_ms

    async def aclose(self) -> None:
        """Cancel fetches of keys that are under way."""
        for source in self._sources.values():
            await source.aclose()

    async def _is_revoked(self, token: str, verified: _VerifiedJwt, epoch_ms: int) -> bool:
        """
        Whether the epoch revokes the token, by its ``iat`` or by when a gateway first saw it.

        A token may be seen before its ``iat``, by the tolerance for clocks at most. So the store is
        asked only for tokens that are hardly newer than the epoch.
        """
        proven_at_ms = verified.identity.proven_at_ms
        if is_revoked(proven_at_ms, epoch_ms):
            return True
        is_newer_on_any_clock = proven_at_ms - self._skew_ms > epoch_ms
        if is_newer_on_any_clock or epoch_ms <= verified.not_seen_by_ms:
            return False
        seen_at_ms = await self._first_seen.find_ms(_digest(token))
        if seen_at_ms is not None and is_revoked(seen_at_ms, epoch_ms):
            return True
        verified.not_seen_by_ms = epoch_ms
        return False

    def _known(self, token: str) -> _VerifiedJwt | None:
        verified = self._verified.get(_digest(token))
        return (
            verified
            if verified is not None and verified.version == verified.source.version
            else None
        )

    async def _verify_anew(self, token: str) -> _VerifiedJwt:
        parsed = parse(token)
        issuer = issuer_of(parsed, self._issuers)
        now_s = self._clock()
        identity = inspect(parsed, issuer, token, now_s, self._method)
        source = self._sources[issuer.name]
        keys = await source.keys(parsed.key_id, str(parsed.algorithm))
        if not any(_is_signed_by(parsed, key) for key in keys):
            reason = "signature is by none of the issuer's keys" if keys else "no such key"
            raise InvalidToken(reason, is_forged=True)
        until_s = min(identity.expires_at_ms / 1000, now_s + GOOD_FOR_S)
        verified = _VerifiedJwt(identity, until_s, source, source.version)
        digest = _digest(token)
        if parsed.claims["iat"] > now_s:
            await self._first_seen.remember(
                digest, identity.proven_at_ms, expires_at_ms=identity.expires_at_ms
            )
        self._verified.put(digest, verified)
        return verified


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _is_signed_by(parsed: ParsedJwt, key: Key) -> bool:
    """Whether ``key`` made the signature. Uses joserfc's algorithm alone: the rest is checked."""
    algorithm = JWSRegistry.algorithms[str(parsed.algorithm)]
    return algorithm.verify(parsed.signing_input, parsed.signature, key)


_: type[TokenVerifier] = JwtVerifier
