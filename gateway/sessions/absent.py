"""Sessions that the store no longer has, looked up past all caches."""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from gateway.core.ports import Store
from gateway.sessions.latest import latest


async def ended(
    store: Store, session_keys: Sequence[str], *, reads_lag: bool = False
) -> frozenset[str]:
    """
    Find those of the sessions that the store no longer has, past all caches.

    While the store is unavailable, none counts as ended.
    """
    absent = await _absent(session_keys, store.get)
    return await _absent(tuple(absent), partial(latest, store)) if reads_lag else absent


async def _absent(
    session_keys: Sequence[str], read: Callable[[str], Awaitable[bytes | None]]
) -> frozenset[str]:
    records = await gather(*map(read, session_keys), return_exceptions=True)
    return frozenset(
        key for key, record in zip(session_keys, records, strict=True) if record is None
    )
