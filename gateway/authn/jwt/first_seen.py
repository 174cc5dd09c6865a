"""
First sight of JWTs whose ``iat`` lies ahead of the clock, at ``early-jwt:{hash}`` in the store.

Such a token claims to be newer than it is. A revocation ends it if it was seen before; so that it
does on all gateways, they share when the first of them saw it. The record needs no seal: a writer
of the store could revoke the issuer as well, and an earlier time does no more.
"""

from contextlib import suppress

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Store
from gateway.revocation.epoch import read_epoch_ms


class FirstSeen:
    """Remembers when tokens were first seen, by their digests."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def remember(self, digest: bytes, seen_at_ms: int, *, expires_at_ms: int) -> None:
        """Record that a token was seen, unless it was before. Ignores a store that is down."""
        with suppress(StoreUnavailable):
            await self._store.add(_key(digest), b"%d" % seen_at_ms, expires_at_ms=expires_at_ms)

    async def find_ms(self, digest: bytes) -> int | None:
        """
        Look up when a token was first seen, in Unix milliseconds; None where that was not recorded.

        Raises `StoreUnavailable` where that is unknown.
        """
        try:
            return read_epoch_ms(await self._store.get(_key(digest)))
        except ValueError:
            raise StoreUnavailable("a time cannot be read") from None


def _key(digest: bytes) -> str:
    return f"early-jwt:{digest.hex()}"
