"""Index of the issuers that signed in with each email address, so that operators can name users."""

from contextlib import suppress
from typing import Final

from gateway.core.email import canonical_email
from gateway.core.issuer import canonical_did
from gateway.core.ports import Script, Store
from gateway.core.replies import is_count, is_texts

MAX_OF_EMAIL: Final = 100
"""Issuers of one email address; one more removes the one whose sessions end first."""

PREFIX: Final = "issuers-of:"

ENLIST_ISSUER: Final = Script.packaged("gateway.sessions", "enlist_issuer", is_count)
LISTED_ISSUERS: Final = Script.packaged("gateway.sessions", "listed_issuers", is_texts)


class EmailIndex:
    """
    Stores the issuers of each email address at ``issuers-of:{email}``, and when their sessions end.

    Personal data: the key holds the address. It expires with the last session that was begun with
    the address, even if that session is ended earlier. Every method raises `StoreUnavailable`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, email: str, issuer: str, ends_at_ms: int) -> None:
        """Add the issuer of a session that ends at ``ends_at_ms`` (Unix time in milliseconds)."""
        with suppress(ValueError):  # no operator can type such an address
            key = key_of(canonical_email(email))
            await self._store.run(ENLIST_ISSUER, [key], [issuer, ends_at_ms, MAX_OF_EMAIL])

    async def issuers(self, email: str) -> tuple[str, ...]:
        """Read the issuers of a canonical address; members that are no user's are left out."""
        reply = await self._store.run(LISTED_ISSUERS, [key_of(email)], [])
        found = []
        for member in reply if isinstance(reply, list) else []:
            with suppress(ValueError):  # not written by a gateway
                found.append(canonical_did(member.decode()))
        return tuple(found)


def key_of(email: str) -> str:
    """Return the key of the issuers of a canonical address."""
    return f"{PREFIX}{email}"
