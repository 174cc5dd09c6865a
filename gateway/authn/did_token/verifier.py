"""Proves whose a DID token is, and remembers that it did."""

import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from gateway.authn.did_token.token import TokenClaim, TokenRules, inspect
from gateway.core.errors import (
    ExpiredToken,
    InvalidToken,
    RevokedToken,
    StoreUnavailable,
)
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.ports import (
    Clock,
    Directory,
    Revocations,
    Store,
    TokenVerifier,
)
from gateway.core.reasons import TokenReason
from gateway.revocation.epoch import is_revoked
from gateway.util.lru import LruCache

GOOD_FOR_S: Final = 300.0
"""How long this process trusts its own good verdict; never beyond the token's end."""
BAD_FOR_S: Final = 60.0


class _SignatureVerdict(Enum):
    """On a signature; the value is what is sealed for the store."""

    GOOD = b"good"
    BAD = b"bad"


@dataclass(slots=True)
class _VerifiedToken:
    claim: TokenClaim
    until_s: float
    at_ms: int
    """
    When the proof was made, in Unix time: its ``iat``, unless that lies ahead.

    It was made before it was seen, whatever a clock that is fast says: a revocation ends it.
    """
    is_kept: bool = False
    """Whether the store has the verdict."""
    identity: Identity | None = None
    """As last returned: made again only when the directory has another user."""


class DidTokenVerifier:
    """
    Cheapest first: own memory, the token's shape, the store's verdict, signature, directory.

    A token is remembered under a hash of it and of the rules that it was judged by (their
    `TokenRules.epoch`): after a change of the config, or beside a gateway for another app on the same
    store, no verdict is found. In the store it is also sealed with a key of the gateway's, for its
    key name: who can write there can make gateways check a signature again, and nothing else.
    Refused tokens, which cost an attacker nothing, have a memory of their own, so that a flood of
    them pushes out no proven one.
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
        Have signatures checked by ``check_signature``, which is told the clock skew too.

        ``on_early`` is called for each new token whose ``iat`` lies ahead of our clock.
        """
        self._check_signature = check_signature
        self._directory = directory
        self._store = store
        self._rules = rules
        self._epoch = rules.epoch()
        self._on_early = on_early
        self._revocations = revocations
        self._sealing_key = hmac.digest(server_key, b"gateway: verdicts on tokens", "sha256")
        self._clock = clock
        self._proven: LruCache[bytes, _VerifiedToken] = LruCache(capacity)
        self._refused_until_s: LruCache[bytes, float] = LruCache(capacity)

    async def verify(self, token: str) -> Identity:
        """
        The identity that ``token`` proves.

        Raises `InvalidToken`, `ExpiredToken`, `RevokedToken`, `StoreUnavailable` or
        `MagicUnavailable`.
        """
        now_s = self._clock()
        digest = self._digest(token)
        proven = self._proven.get(digest)
        if proven is None or now_s >= proven.until_s:
            proven = await self._prove(token, digest, now_s)
        user = await self._directory.user(proven.claim.issuer)
        if user is None:
            raise InvalidToken(TokenReason.STRANGER)
        if self._revocations is not None:
            epoch_ms = await self._revocations.epoch_ms(proven.claim.issuer)
            if is_revoked(proven.at_ms, epoch_ms):
                raise RevokedToken
        if not proven.is_kept:  # not before: strangers must not fill the store with verdicts
            proven.is_kept = True
            await self._keep(
                f"token:{digest.hex()}", _SignatureVerdict.GOOD, proven.claim.expires_at_s
            )
        if proven.identity is None or proven.identity.user is not user:
            proven.identity = _identity(user, proven)
        return proven.identity

    def knows(self, token: str) -> bool:
        """Whether somebody whom Magic knows was proven by it; not that it was just well signed."""
        proven = self._proven.get(self._digest(token))
        return (
            proven is not None
            and proven.identity is not None
            and self._clock() < proven.claim.expires_at_s
        )

    def _digest(self, token: str) -> bytes:
        # The epoch has a fixed length, so this is the hash of no other epoch and token.
        return sha256(self._epoch + token.encode("utf-8", "surrogatepass")).digest()

    async def _prove(self, token: str, digest: bytes, now_s: float) -> _VerifiedToken:
        claim = inspect(token, self._rules, now_s)
        refused_until_s = self._refused_until_s.get(digest)
        if refused_until_s is not None and now_s < refused_until_s:
            raise InvalidToken(TokenReason.REFUSED_BEFORE)
        key = f"token:{digest.hex()}"
        at_ms = int(min(claim.issued_at_s, now_s) * 1000)
        before = self._proven.get(digest)  # being looked at again makes it no younger
        if before is not None:
            at_ms = min(at_ms, before.at_ms)
        proven = _VerifiedToken(claim, min(claim.expires_at_s, now_s + GOOD_FOR_S), at_ms)
        verdict = await self._stored(key)
        if verdict is _SignatureVerdict.BAD:
            self._refused_until_s.put(digest, now_s + BAD_FOR_S)
            raise InvalidToken(TokenReason.REFUSED_BEFORE)
        if verdict is _SignatureVerdict.GOOD:
            proven.is_kept = True
            self._proven.put(digest, proven)
        else:
            await self._judge(token, digest, key, proven)
        return proven

    async def _judge(self, token: str, digest: bytes, key: str, proven: _VerifiedToken) -> None:
        """Have the signature checked, unless that was done while the store was being asked."""
        remembered = self._proven.get(digest)
        if remembered is not None and self._clock() < remembered.until_s:
            return
        try:
            self._check_signature(token, self._rules.clock_skew_s)
        except ExpiredToken:
            raise
        except InvalidToken:
            until_s = self._clock() + BAD_FOR_S
            self._refused_until_s.put(digest, until_s)
            await self._keep(key, _SignatureVerdict.BAD, until_s)
            raise
        self._proven.put(digest, proven)
        if proven.claim.issued_at_s > self._clock():
            self._on_early()

    async def _stored(self, key: str) -> _SignatureVerdict | None:
        """The store's verdict; None if it has none, is down, or was written to by a stranger."""
        try:
            seal = await self._store.get(key)
        except StoreUnavailable:
            return None
        if seal is None:
            return None
        for verdict in _SignatureVerdict:
            if hmac.compare_digest(seal, self._seal(verdict, key)):
                return verdict
        return None

    async def _keep(self, key: str, verdict: _SignatureVerdict, until_s: float) -> None:
        with suppress(StoreUnavailable):
            seal = self._seal(verdict, key)
            await self._store.set(key, seal, expires_at_ms=int(until_s * 1000))

    def _seal(self, verdict: _SignatureVerdict, key: str) -> bytes:
        """HMAC over the verdict and what it is about; the key's name says token and rules."""
        about = b"\0".join((verdict.value, key.encode()))
        return hmac.digest(self._sealing_key, about, "sha256")


def _identity(user: User, proven: _VerifiedToken) -> Identity:
    return Identity(
        user,
        AuthMethod.DID_TOKEN,
        proven.claim.token_id,
        proven.claim.expires_at_s * 1000,
        proven_at_ms=proven.at_ms,
    )


_: type[TokenVerifier] = DidTokenVerifier
