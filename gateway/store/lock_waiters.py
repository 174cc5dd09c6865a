"""
Waiters for locks, in turn: of the waiters of one lock here, one at a time asks the store.

It asks again when the lock is released here, when the lease that is in the way has ended, and now
and then, since the lock may be released elsewhere. So waiters of one process come in their order,
and those of several processes in no order. A wait is work of its caller's own task: nothing is left
of one that was cancelled.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from weakref import WeakValueDictionary

from gateway.store.lock import LockLease, LockRefused

MAX_WAITING: Final = 128
"""Waiters of one process at a time, each of which keeps a connection to the pages."""
MAX_WAITING_IN_SPACE: Final = 32
"""Those of them for locks of one space."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5

LockAttempt = Callable[[], Awaitable[LockLease | LockRefused]]


class _LockLine:
    """The waiters of one lock."""

    __slots__ = ("__weakref__", "released", "turn")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.released = asyncio.Event()


class LockWaiters:
    """The waiters of one process."""

    def __init__(self, most: int = MAX_WAITING, most_in_space: int = MAX_WAITING_IN_SPACE) -> None:
        self._most = most
        self._most_in_space = most_in_space
        self._waiting: Counter[str] = Counter()
        self._lines: WeakValueDictionary[tuple[str, str], _LockLine] = WeakValueDictionary()

    async def acquire(
        self,
        attempt: LockAttempt,
        space: str,
        name: str,
        wait_s: float,
        is_wanted: Callable[[], bool],
    ) -> LockLease | LockRefused:
        """
        Make attempts until one acquires the lock, for ``wait_s`` at most.

        There is one attempt where too many wait already, and none after ``is_wanted`` says that
        the caller has left. No attempt is cancelled by the time: its lock would be held by none.
        """
        if not wait_s or not self._has_room(space):
            return await attempt()
        with self._counted(space):
            if (space, name) not in self._lines:
                found = await attempt()
                if isinstance(found, LockLease) or found.is_full:
                    return found
            line = self._lines.setdefault((space, name), _LockLine())
            return await _in_turn(line, attempt, wait_s, is_wanted)

    def released(self, space: str, name: str) -> None:
        """Wake the first waiter of a lock that was released."""
        line = self._lines.get((space, name))
        if line is not None:
            line.released.set()

    def _has_room(self, space: str) -> bool:
        return self._waiting.total() < self._most and self._waiting[space] < self._most_in_space

    @contextmanager
    def _counted(self, space: str) -> Iterator[None]:
        self._waiting[space] += 1
        try:
            yield
        finally:
            self._waiting[space] -= 1
            if not self._waiting[space]:
                del self._waiting[space]


async def _in_turn(
    line: _LockLine, attempt: LockAttempt, wait_s: float, is_wanted: Callable[[], bool]
) -> LockLease | LockRefused:
    until_s = asyncio.get_running_loop().time() + wait_s
    try:
        async with asyncio.timeout_at(until_s):
            await line.turn.acquire()
    except TimeoutError:
        return await attempt()
    try:
        return await _ask(line, attempt, until_s, is_wanted)
    finally:
        line.turn.release()


async def _ask(
    line: _LockLine, attempt: LockAttempt, until_s: float, is_wanted: Callable[[], bool]
) -> LockLease | LockRefused:
    loop = asyncio.get_running_loop()
    pause_s = _FIRST_PAUSE_S
    while True:
        line.released.clear()
        found = await attempt()
        now_s = loop.time()
        if isinstance(found, LockLease) or now_s >= until_s or not is_wanted():
            return found
        next_s = now_s + min(pause_s, (found.left_ms + 1) / 1000)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(next_s, until_s)):
                await line.released.wait()
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
