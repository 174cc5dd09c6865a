"""How many processes charge limits at one store: what may be admitted ahead is divided by them."""

import asyncio
import time
from asyncio import Future
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import cast

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Clock, Script, Store
from gateway.core.replies import are_counts
from gateway.ratelimit.lua import read

KEY = "limit-processes"
BEAT_S = 0.5
"""How often a process asks that admits requests ahead."""
LASTS_S = 1.0
"""How long a count is used, from when it was asked for."""
KEPT_S = 300.0
"""
How long a process is counted that asks no more.

One that had nothing to admit for so long has to be counted for `LASTS_S` again.
"""


class Census:
    """
    Counts the processes that admit requests ahead, this one included.

    A process admits none until it has been counted for `LASTS_S`: by then every count that is in
    use anywhere includes it. So each process that admits requests is in the counts of all others.
    One that is alone need not wait: no other has a count.

    The store is asked only where that is wanted: where callers come so fast that they could be
    admitted ahead.
    """

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._name = token_hex(8)
        self._script = Script("census", read("census"), partial(are_counts, 2))
        self._processes = 0
        self._asked_s = 0.0
        """When the count was asked for that is known; 0 for none."""
        self._since_s = 0.0
        """When this process was counted for the first time, at the latest; 0 where it is alone."""
        self._reply: Future[object] | None = None
        """The reply that is awaited."""
        self.is_wanted = False
        """Whether the count is needed that is asked for next."""

    @property
    def last_heard(self) -> int:
        """How many processes there were by the last count, however old: at least this one."""
        return max(1, self._processes)

    def processes(self, now_s: float, for_s: float) -> int:
        """Return how many processes there are until ``for_s`` from now; 0 where that is unknown."""
        known = 0 <= now_s - self._asked_s < LASTS_S - for_s and now_s - self._since_s >= LASTS_S
        return self._processes if known else 0

    def ask(self, store: Store, now_s: float) -> None:
        """Ask ``store`` for the next count, if it is time to."""
        if not self.is_wanted or self._reply or 0 <= now_s - self._asked_s < BEAT_S:
            return
        self.is_wanted = False
        asked = store.run(self._script, [KEY], [self._name, int(KEPT_S * 1000)])
        self._reply = asyncio.ensure_future(asked)
        self._reply.add_done_callback(partial(self._heard, now_s))

    async def leave(self, store: Store) -> None:
        """Be counted no more: this process has ended its requests."""
        if self._asked_s:
            with suppress(StoreUnavailable):
                await store.run(self._script, [KEY], [self._name, 0])

    def _heard(self, asked_s: float, reply: Future[object]) -> None:
        """Keep the count; a store that fails leaves the last one, which ends soon."""
        self._reply = None
        if reply.cancelled() or reply.exception() is not None:
            return
        added, self._processes = cast("list[int]", reply.result())
        self._asked_s, now_s = asked_s, self._clock()
        if self._processes == 1:
            self._since_s = 0.0
        elif added or now_s < self._since_s:
            self._since_s = now_s
