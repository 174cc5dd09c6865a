"""The records of a user in the store: one that gateways read, and one that apps read."""

import secrets
from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import Standing
from gateway.core.ports import Script, Store, StoredUser
from gateway.core.replies import is_count
from gateway.users.app_record import AppRecordSealer
from gateway.users.known import NONCE_BYTES, KnownSealer, known_key
from gateway.users.metadata import Record

TELL: Final = Script.packaged("gateway.users", "tell", is_count)
UNTELL: Final = Script.packaged("gateway.users", "untell", is_count)


def key_of(issuer: str) -> str:
    """Return the key of the record that apps read."""
    return f"user:{issuer}"


class UserRecords:
    """
    Reads and writes both records of a user, sealed with the first of the server's keys.

    Methods that write raise `StoreUnavailable`. A value at ``user:{issuer}`` that no gateway wrote
    is neither overwritten nor deleted.
    """

    def __init__(
        self,
        store: Store,
        server_keys: Sequence[bytes],
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.store = store
        self.known = KnownSealer(server_keys)
        self.told = AppRecordSealer(server_keys)
        self._token_bytes = token_bytes

    def read(self, issuer: str) -> Awaitable[StoredUser]:
        """Read both records, beginning at once: with what else is asked for in this tick."""
        return _stored(self.store.get_pair(known_key(issuer), key_of(issuer)))

    def record_in(self, stored: StoredUser, issuer: str) -> Record | None:
        """Return the record by what was read: the gateways' own, else that for apps, if sealed."""
        record = self.kept_in(stored, issuer)
        if record is None and stored.told is not None:
            record = self.told.decode(stored.told, issuer)
        return record

    def kept_in(self, stored: StoredUser, issuer: str) -> Record | None:
        """Return the gateways' own record by what was read."""
        return None if stored.known is None else self.known.decode(stored.known, issuer)

    async def keep(self, record: Record, ends_at_ms: int) -> None:
        """Write what the gateways know, until ``ends_at_ms`` (Unix time in milliseconds)."""
        sealed = self.known.encode(record, self._token_bytes(NONCE_BYTES))
        await self.store.set(known_key(record.user.issuer), sealed, expires_at_ms=ends_at_ms)

    async def tell(self, record: Record, standing: Standing, ends_at_ms: int = 0) -> None:
        """
        Write what apps read, for a proof that ends at ``ends_at_ms`` (Unix time in milliseconds).

        Without an end, change the record that is there, if there is one.
        """
        text = self.told.encode(record, standing)
        args = text.before, text.after, ends_at_ms
        await self.store.run(TELL, [key_of(record.user.issuer)], args)

    async def drop(self, issuer: str) -> bool:
        """Delete both records; return whether either was there."""
        known, told = await gather(self.store.delete(known_key(issuer)), untell(self.store, issuer))
        return known or told


async def untell(store: Store, issuer: str) -> bool:
    """Delete what apps read of ``issuer``; return whether a gateway had written something."""
    return bool(await store.run(UNTELL, [key_of(issuer)], []))


async def _stored(pair: Awaitable[tuple[bytes | None, bytes | None]]) -> StoredUser:
    try:
        known, told = await pair
    except StoreUnavailable as error:
        return StoredUser(None, None, error)
    return StoredUser(known, told)
