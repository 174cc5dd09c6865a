"""
Locks with leases and fences, in the store.

A lock has one holder until its lease ends or it is released. Each acquisition has a fence, higher
than those before it: what the lock protects refuses a fence lower than the highest that it has
seen, so that a holder which was stopped beyond its lease changes nothing. A lease alone does not
protect: its holder cannot know how long it was stopped, and a failover of a server whose replicas
are behind may forget who holds a lock. See docs/locks.md.

Locks live in spaces; names in two spaces never meet. All keys of a space carry its name as a hash
tag, and so are in one slot of a cluster:

- ``locks:held:{space}`` (hash): fence and holder, by name
- ``locks:ends:{space}`` (sorted set): names, by when their leases end
- ``locks:fence:{space}`` (string): the latest fence
"""

from functools import partial
from typing import Final, NamedTuple, cast

from gateway.core.ports import Script, Store
from gateway.core.replies import are_counts, is_count

MAX_HELD: Final = 10_000
"""Locks of one space that are held at a time."""
KEPT_MS: Final = 30 * 24 * 3600 * 1000
"""How long the latest fence of a space is remembered after the last use of its locks."""
MAX_LEASE_MS: Final = 3600 * 1000
"""The longest lease: a crash of its holder keeps others out for no longer."""

ACQUIRE: Final = Script.packaged("gateway.store", "lock_acquire", partial(are_counts, 3))
EXTEND: Final = Script.packaged("gateway.store", "lock_extend", is_count)


class LockLease(NamedTuple):
    """A lock that was acquired."""

    fence: int
    ends_at_ms: int
    """Unix time in milliseconds, by the store's clock."""


class LockRefused(NamedTuple):
    """A lock that was not acquired."""

    left_ms: int
    """In how many milliseconds the lease ends that is in the way, unless it is renewed."""
    is_full: bool = False
    """Whether the space holds as many locks as it may; else another holder has this one."""


class Locks:
    """
    The locks of one space. Every method raises `StoreUnavailable`.

    ``holder`` names one run of some work, by a text that no other run has.
    """

    def __init__(self, store: Store, space: str, max_held: int = MAX_HELD) -> None:
        self._store = store
        self._keys = [f"locks:{part}:{{{space}}}" for part in ("held", "ends", "fence")]
        self._max_held = max_held

    async def acquire(self, name: str, holder: str, lease_ms: int) -> LockLease | LockRefused:
        """
        Acquire the lock for ``lease_ms``.

        Its holder gets the same fence again, and a new lease: so an acquisition whose reply was
        lost is repeated safely.
        """
        args = name, holder, _bounded(lease_ms), self._max_held, KEPT_MS
        reply = await self._store.run(ACQUIRE, self._keys, args)
        state, fence, at_ms = cast("list[int]", reply)
        if state == 1:
            return LockLease(fence, at_ms)
        return LockRefused(at_ms, is_full=state < 0)

    async def renew(self, name: str, holder: str, fence: int, lease_ms: int) -> LockLease | None:
        """Let the lease end ``lease_ms`` from now; None where the lock is lost."""
        ends_at_ms = await self._extend(name, holder, fence, _bounded(lease_ms))
        return LockLease(fence, ends_at_ms) if ends_at_ms else None

    async def release(self, name: str, holder: str, fence: int) -> bool:
        """Release the lock; False, with nothing changed, where it is lost."""
        return await self._extend(name, holder, fence, 0) > 0

    async def _extend(self, name: str, holder: str, fence: int, lease_ms: int) -> int:
        args = name, f"{fence} {holder}", lease_ms, KEPT_MS
        return cast("int", await self._store.run(EXTEND, self._keys, args))


def _bounded(lease_ms: int) -> int:
    if not 0 < lease_ms <= MAX_LEASE_MS:
        raise ValueError("a lease is longer than nothing, and an hour at most")
    return lease_ms
