"""Marks of DID tokens that were exchanged for a session: each counts once."""

from gateway.core.event_ports import SignIns
from gateway.core.identity import Browser, Identity
from gateway.core.ports import Store


def mark_of(identity: Identity) -> str:
    """
    Return the key that says that the DID token of ``identity`` was exchanged.

    Issuer and ``tid`` name the token, as its text has several spellings.
    """
    return f"seen:{identity.user.issuer}:{identity.token_id}"


class TokenMarks:
    """The port `SignIns` without events."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, identity: Identity, browser: Browser, session_key: str) -> bool:
        del browser, session_key
        ends_at_ms = identity.expires_at_ms
        return await self._store.add(mark_of(identity), b"1", expires_at_ms=ends_at_ms)

    async def take_back(self, identity: Identity) -> None:
        await self._store.delete(mark_of(identity))


_: type[SignIns] = TokenMarks
