"""Counts of single callers, for operators: read without charging anything, and set back."""

import time
from functools import partial
from typing import cast

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState
from gateway.core.ports import Clock, Script, Store, TaggedKeys
from gateway.core.replies import are_counts
from gateway.ratelimit import concurrency, leases
from gateway.ratelimit.algorithm import ALGORITHMS

_WRONG_WINDOW = -1
"""Replied in place of a count if our clock is too far from the store's."""


class StoredCounts:
    """Reads and deletes counts. Every method raises `StoreUnavailable`."""

    def __init__(self, store: Store, clock: Clock = time.time) -> None:
        self._store = store
        self._clock = clock

    async def state(self, limit: Limit, caller: str) -> LimitState:
        """Return how the next request of ``caller`` would be answered, and what is left."""
        if limit.is_concurrency:
            return await self._under_way(limit, caller)
        state, _ = await self._read(limit, caller)
        return state

    async def reset(self, limit: Limit, caller: str) -> bool:
        """
        Delete the counts of ``caller``; return whether there were any.

        Requests that are under way count again when their leases are renewed.
        """
        if limit.is_concurrency:
            [key] = leases.keys_of(limit, caller)
            return await self._store.delete(key)
        _, now_ms = await self._read(limit, caller)
        keys = _keys(limit, caller, now_ms)
        return any([await self._store.delete(key) for key in keys])

    async def _under_way(self, limit: Limit, caller: str) -> LimitState:
        """Return the state of a limit on requests that are under way, by taking no lease."""
        args = [limit.rate, limit.window_s * 1000, 0, 0]
        reply = await self._store.run(leases.SCRIPT, leases.keys_of(limit, caller), args)
        _, _, held = cast("list[int]", reply)
        has_room = held < limit.rate
        [state] = concurrency.answers(limit, held, int(has_room), 1)
        return state

    async def _read(self, limit: Limit, caller: str) -> tuple[LimitState, int]:
        """Return the state, and the store's time; by a charge of no request."""
        algorithm = ALGORITHMS[limit.algorithm]
        is_reply = partial(are_counts, 2 + algorithm.width)
        script = Script(algorithm.name, algorithm.script, is_reply)
        now_ms = int(self._clock() * 1000)
        for _ in range(2):  # again, where the clocks differ, by that of the store
            args = algorithm.args(limit, [0], now_ms)
            reply = await self._store.run(script, _keys(limit, caller, now_ms), args)
            now_ms, allowed, *counts = cast("list[int]", reply)
            if allowed != _WRONG_WINDOW:
                return _state(limit, tuple(counts), now_ms), now_ms
        raise StoreUnavailable("its clock jumps")


def _keys(limit: Limit, caller: str, now_ms: int) -> TaggedKeys:
    tag = caller.encode(errors="backslashreplace").decode()
    return TaggedKeys([(ALGORITHMS[limit.algorithm].names(limit, now_ms), [tag])])


def _state(limit: Limit, counts: tuple[int, ...], now_ms: int) -> LimitState:
    algorithm = ALGORITHMS[limit.algorithm]
    [state] = algorithm.last_states(limit, [counts], now_ms)
    if not state.remaining:
        [state] = algorithm.states(limit, counts, 0, 1, now_ms)
    return state
