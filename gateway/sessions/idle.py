"""Idle time-out of sessions: records their use in the store, at most ten times per time-out."""

import asyncio
from contextlib import suppress
from typing import Final

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import Identity
from gateway.core.ports import Clock, Script, Store
from gateway.core.replies import is_count
from gateway.sessions.index import SessionIndex
from gateway.util.lru import LruCache

KEEP: Final = Script.packaged("gateway.sessions", "keep", is_count)

STEPS: Final = 10
"""Use of a session is written at most this many times in one idle time-out."""

_MAX_TRACKED = 100_000
"""Some 15 MiB. Use of sessions beyond these is written to the store at every look-up."""


class IdleTracker:
    """
    Extends sessions that are used, and records when they were last seen.

    Both happen in the background. A write that fails is repeated at the next look-up, so that no
    session in use ends because a write was lost.
    """

    def __init__(self, store: Store, index: SessionIndex, clock: Clock, idle_s: float) -> None:
        self._store = store
        self._index = index
        self._clock = clock
        self._idle_ms = round(idle_s * 1000)
        self._step_ms = max(1, self._idle_ms // STEPS)
        self._due_ms: LruCache[str, int] = LruCache(_MAX_TRACKED)
        """By session key: when its use is to be written next."""
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, identity: Identity) -> None:
        """Note that a session is being used. ``identity`` has a session key."""
        key, now_ms = str(identity.session_key), int(self._clock() * 1000)
        due_ms = self._due_ms.get(key)
        if due_ms is not None and now_ms < due_ms <= now_ms + self._step_ms:
            return
        self._due_ms.put(key, now_ms + self._step_ms)
        task = asyncio.create_task(self._write(identity, key, now_ms))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, identity: Identity, key: str, now_ms: int) -> None:
        limits = self._idle_ms, identity.expires_at_ms, self._step_ms
        try:
            wait_ms = await self._store.run(KEEP, [key], limits)
        except StoreUnavailable:
            self._due_ms.forget(key)
            return
        if wait_ms == 0:
            with suppress(StoreUnavailable):
                await self._index.seen(identity.user.issuer, key, now_ms)
        elif isinstance(wait_ms, int):  # another gateway wrote it a moment ago
            self._due_ms.put(key, now_ms + wait_ms)

    async def aclose(self) -> None:
        """Wait for writes that are under way: no longer than the store's time-out."""
        while self._writing:
            await asyncio.wait(self._writing)
