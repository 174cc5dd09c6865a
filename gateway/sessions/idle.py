"""Sessions that end when they are not used: their use is written down now and then."""

import asyncio
from contextlib import suppress
from importlib.resources import files
from typing import Final

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import Identity
from gateway.core.ports import Clock, Script, Store
from gateway.sessions.index import SessionIndex
from gateway.util.lru import LruCache

KEEP: Final = Script("keep", files("gateway.sessions").joinpath("keep.lua").read_text("utf-8"))

STEPS: Final = 10
"""Use is written down at most every so manieth part of the idle time."""

_MAX_REMEMBERED = 100_000
"""Some 15 MiB. Use of a session beyond these is told to the store at every look-up."""


class IdleTracker:
    """
    Puts off the end of sessions that are used, and notes when they were seen.

    Both happen behind the requests' backs. What the store does not hear now it hears at the next
    look-up: a session never ends because a write was lost, as long as it goes on being used.
    """

    def __init__(self, store: Store, index: SessionIndex, clock: Clock, idle_s: float) -> None:
        self._store = store
        self._index = index
        self._clock = clock
        self._idle_ms = round(idle_s * 1000)
        self._step_ms = max(1, self._idle_ms // STEPS)
        self._due_ms: LruCache[str, int] = LruCache(_MAX_REMEMBERED)
        """By session key: when its use is to be written down again."""
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, identity: Identity) -> None:
        """A session is being used. ``identity`` has a session key."""
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
        elif isinstance(wait_ms, int):  # another gateway wrote it down a moment ago
            self._due_ms.put(key, now_ms + wait_ms)

    async def aclose(self) -> None:
        """Wait for what is being written: no longer than the store's time-out."""
        while self._writing:
            await asyncio.wait(self._writing)
