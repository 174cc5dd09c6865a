"""Proves whose a JWT of a configured issuer is, and remembers that it did."""

import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from joserfc.jws import JWSRegistry

from gateway.authn.jwt.key_set import Key, KeySource
from gateway.authn.jwt.token import (
    ParsedJwt,
    TrustedIssuer,
    inspect,
    issuer_of,
    parse,
)
from gateway.core.errors import InvalidToken, RevokedToken
from gateway.core.identity import Identity
from gateway.core.ports import Clock, Revocations, TokenVerifier
from gateway.revocation.epoch import is_revoked
from gateway.util.lru import LruCache

GOOD_FOR_S: Final = 300.0
"""How long a verdict is trusted; never beyond the token's end, nor beyond a change of keys."""


class IssuerWithKeys(NamedTuple):
    """An issuer, and where its keys are."""

    issuer: TrustedIssuer
    source: KeySource


class _VerifiedJwt(NamedTuple):
    identity: Identity
    until_s: float
    source: KeySource
    version: int
    """Of the keys that proved it."""


class JwtVerifier:
    """Cheapest first: own memory, the token's shape, the issuer's keys, the signature."""

    def __init__(
        self,
        trusted: Sequence[IssuerWithKeys],
        revocations: Revocations,
        *,
        clock: Clock = time.time,
        capacity: int = 10_000,
    ) -> None:
        self._issuers = {issuer.name: issuer for issuer, _ in trusted}
        self._sources = {issuer.name: source for issuer, source in trusted}
        self._revocations = revocations
        self._clock = clock
        self._proven: LruCache[bytes, _VerifiedJwt] = LruCache(capacity)

    async def verify(self, token: str) -> Identity:
        """
        The identity that ``token`` proves.

        Raises `InvalidToken`, `ExpiredToken`, `RevokedToken`, `KeysUnavailable` or
        `StoreUnavailable`.
        """
        proven = self._known(token)
        if proven is None or self._clock() >= proven.until_s:
            proven = await self._prove(token)
        identity = proven.identity
        epoch_ms = await self._revocations.epoch_ms(identity.user.issuer)
        if is_revoked(identity.proven_at_ms, epoch_ms):
            raise RevokedToken
        return identity

    def knows(self, token: str) -> bool:
        proven = self._known(token)
        return proven is not None and self._clock() * 1000 < proven.identity.expires_at_ms

    async def aclose(self) -> None:
        """Give up what is being fetched."""
        for source in self._sources.values():
            await source.aclose()

    def _known(self, token: str) -> _VerifiedJwt | None:
        proven = self._proven.get(_digest(token))
        return proven if proven is not None and proven.version == proven.source.version else None

    async def _prove(self, token: str) -> _VerifiedJwt:
        parsed = parse(token)
        issuer = issuer_of(parsed, self._issuers)
        now_s = self._clock()
        identity = inspect(parsed, issuer, token, now_s)
        source = self._sources[issuer.name]
        keys = await source.keys(parsed.key_id, str(parsed.algorithm))
        if not any(_is_signed(parsed, key) for key in keys):
            raise InvalidToken(
                "signature is by none of the issuer's keys" if keys else "no such key"
            )
        until_s = min(identity.expires_at_ms / 1000, now_s + GOOD_FOR_S)
        proven = _VerifiedJwt(identity, until_s, source, source.version)
        self._proven.put(_digest(token), proven)
        return proven


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _is_signed(parsed: ParsedJwt, key: Key) -> bool:
    """By the algorithm of joserfc itself: what is around it in a token has been judged already."""
    algorithm = JWSRegistry.algorithms[str(parsed.algorithm)]
    return algorithm.verify(parsed.signing_input, parsed.signature, key)


_: type[TokenVerifier] = JwtVerifier
