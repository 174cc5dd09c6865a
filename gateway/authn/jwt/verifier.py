"""Verification of JWTs of configured issuers, with a cache of verified tokens."""

import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from joserfc.jws import JWSRegistry

from gateway.authn.jwt.key_set import Key, KeySource
from gateway.authn.jwt.token import ParsedJwt, TrustedIssuer, inspect, issuer_of, parse
from gateway.core.errors import InvalidToken, RevokedToken
from gateway.core.identity import AuthMethod, Identity
from gateway.core.ports import Clock, Revocations, TokenVerifier
from gateway.revocation.epoch import is_revoked
from gateway.util.lru import LruCache

GOOD_FOR_S: Final = 300.0
"""How long a verdict is cached; never beyond the token's expiry, nor beyond a change of keys."""


class IssuerWithKeys(NamedTuple):
    """A trusted issuer and the source of its keys."""

    issuer: TrustedIssuer
    source: KeySource


class _VerifiedJwt(NamedTuple):
    identity: Identity
    until_s: float
    source: KeySource
    version: int
    """Version of the keys that verified it."""


class JwtVerifier:
    """Verifies JWTs, the cheapest step first: cache, claims, keys of the issuer, signature."""

    def __init__(
        self,
        trusted: Sequence[IssuerWithKeys],
        revocations: Revocations,
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
        self._clock = clock
        self._verified: LruCache[bytes, _VerifiedJwt] = LruCache(capacity)

    async def verify(self, token: str) -> Identity:
        """
        Verify ``token`` and return the identity that it proves.

        Raises `InvalidToken`, `ExpiredToken`, `RevokedToken`, `KeysUnavailable` or
        `StoreUnavailable`.
        """
        verified = self._known(token)
        if verified is None or self._clock() >= verified.until_s:
            verified = await self._verify_anew(token)
        identity = verified.identity
        epoch_ms = await self._revocations.epoch_ms(identity.user.issuer)
        if is_revoked(identity.proven_at_ms, epoch_ms):
            raise RevokedToken
        return identity

    def knows(self, token: str) -> bool:
        verified = self._known(token)
        return verified is not None and self._clock() * 1000 < verified.identity.expires_at_ms

    async def aclose(self) -> None:
        """Cancel fetches of keys that are under way."""
        for source in self._sources.values():
            await source.aclose()

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
        self._verified.put(_digest(token), verified)
        return verified


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _is_signed_by(parsed: ParsedJwt, key: Key) -> bool:
    """Whether ``key`` made the signature. Uses joserfc's algorithm alone: the rest is checked."""
    algorithm = JWSRegistry.algorithms[str(parsed.algorithm)]
    return algorithm.verify(parsed.signing_input, parsed.signature, key)


_: type[TokenVerifier] = JwtVerifier
