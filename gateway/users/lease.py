"""A lease on the question to Magic about an issuer: one of the gateways asks, the others wait."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Clock, StoredUser
from gateway.users.known import known_key
from gateway.users.metadata import Record
from gateway.users.records import UserRecords

LEASE_S: Final = 5.0
"""Longest time for which the others wait: longer than a call to Magic takes by default."""

_MAX_HELD: Final = 1000
"""Leases beyond these end by themselves alone."""

_FIRST_WAIT_S: Final = 0.02
_LONGEST_WAIT_S: Final = 0.2


class Lease:
    """
    Takes ``asking:{issuer}`` in the store for `LEASE_S` (``SET NX``).

    It saves calls to Magic, and decides nothing: a gateway without it may ask all the same.
    """

    def __init__(
        self,
        records: UserRecords,
        clock: Clock,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._records = records
        self._clock = clock
        self._sleep = sleep
        self._held: dict[str, None] = {}

    async def take(self, issuer: str) -> bool:
        """Return whether this process is to ask; also while the store is unavailable."""
        if issuer in self._held:  # what it learnt then was never written
            return True
        ends_at_ms = int((self._clock() + LEASE_S) * 1000)
        with suppress(StoreUnavailable):
            if not await self._records.store.add(_key(issuer), b"1", expires_at_ms=ends_at_ms):
                return False
            self._held[issuer] = None
            if len(self._held) > _MAX_HELD:
                del self._held[next(iter(self._held))]
        return True

    async def release(self, issuer: str) -> None:
        """Give the lease back, if this process has it; ignores a store that is down."""
        if issuer in self._held:
            del self._held[issuer]
            with suppress(StoreUnavailable):
                await self._records.store.delete(_key(issuer))

    async def result(self, issuer: str) -> Record | None:
        """
        Wait for the record that the holder of the lease writes; return None where it wrote none.

        Waits for `LEASE_S` at most, and for as long as there is a holder.
        """
        waited_s, wait_s = 0.0, _FIRST_WAIT_S
        with suppress(StoreUnavailable):
            while waited_s < LEASE_S:
                await self._sleep(wait_s)
                waited_s, wait_s = waited_s + wait_s, min(2 * wait_s, _LONGEST_WAIT_S)
                store = self._records.store
                sealed, lease = await store.get_pair(known_key(issuer), _key(issuer))
                record = self._records.kept_in(StoredUser(sealed, None), issuer)
                if record is not None or lease is None:
                    return record
        return None


def _key(issuer: str) -> str:
    return f"asking:{issuer}"
