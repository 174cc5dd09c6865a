"""Index of each issuer's sessions, in the store, so that they can be ended without cookies."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from gateway.core.ports import Script, Store
from gateway.core.replies import is_count, is_pairs
from gateway.sessions.listing import (
    ListEntry,
    SignIn,
    base36,
    encode,
    field_of,
    key_in,
    parse,
)
from gateway.sessions.seal import Sealer

PREFIX: Final = "sessions-of:"

ENLIST: Final = Script.packaged("gateway.sessions", "enlist", is_count)
LISTED: Final = Script.packaged("gateway.sessions", "listed", is_pairs)
SEEN: Final = Script.packaged("gateway.sessions", "seen", is_count)
UNLIST: Final = Script.packaged("gateway.sessions", "unlist", is_count)


class SessionIndex:
    """
    Stores the list of each issuer's sessions, and their ends, at ``sessions-of:{issuer}``.

    A listed session may have ended: only its own record tells. Every method raises
    `StoreUnavailable`.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
    ) -> None:
        self._store = store
        self._sealer = sealer

    async def add(self, issuer: str, session_key: str, ends_at_ms: int, sign_in: SignIn) -> int:
        """Add the session to the list; return how many unexpired ones are on it."""
        parts = encode(self._sealer, issuer, session_key, ends_at_ms, sign_in)
        args = field_of(session_key), ends_at_ms, *parts
        count = await self._store.run(ENLIST, [_name(issuer)], args)
        return count if isinstance(count, int) else 0

    async def seen(self, issuer: str, session_key: str, at_ms: int) -> None:
        """Record that the session was used at ``at_ms`` (Unix time in milliseconds)."""
        args = field_of(session_key), session_key, at_ms, base36(at_ms)
        await self._store.run(SEEN, [_name(issuer)], args)

    async def remove(self, issuer: str, session_keys: Sequence[str]) -> None:
        """Remove the sessions from the list."""
        if session_keys:
            fields = [*map(field_of, session_keys), *session_keys]
            await self._store.run(UNLIST, [_name(issuer)], fields)

    async def entries(self, issuer: str) -> list[ListEntry]:
        """Read the list, the latest sign-in first; unreadable entries are left out."""
        reply = await self._store.run(LISTED, [_name(issuer)], [])
        members = reply if isinstance(reply, list) else []
        found = []
        for field, entry in zip(members[::2], members[1::2], strict=True):
            with suppress(ValueError):  # not written by a gateway
                session_key = key_in(field.decode())
                found.append(parse(self._sealer, issuer, session_key, entry))
        return sorted(found, key=_age, reverse=True)


def _age(entry: ListEntry) -> tuple[int, str]:
    """Return the sort key of an entry; one that cannot be opened counts as the oldest."""
    return entry.sign_in.created_at_ms if entry.sign_in else 0, entry.session_key


def _name(issuer: str) -> str:
    return f"{PREFIX}{issuer}"
