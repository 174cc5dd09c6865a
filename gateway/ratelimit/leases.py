"""Leases of requests that are under way, which all gateways share in the store."""

import asyncio
import secrets
import time
from asyncio import Future, TimerHandle
from functools import partial
from itertools import count, islice
from math import inf
from typing import NamedTuple, cast

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState
from gateway.core.ports import Clock, Leases, RequestLease, Script, Store, TaggedKeys
from gateway.core.replies import are_counts
from gateway.ratelimit import concurrency

RENEW_SHARE = 1 / 3
"""A lease is renewed when this share of it is over, or up to half as much later."""
MAX_OWED = 1000
"""Leases of a caller to end when the store is back; others end by themselves."""
MAX_OWING = 10_000
"""Callers who have such leases."""
RETRY_S = 1.0
"""Least time between two attempts to end what is owed, where the store replies to other calls."""
SCRIPT = Script("concurrency", concurrency.SCRIPT, partial(are_counts, 3))

LeaseKey = tuple[Limit, str]
"""A limit and a caller, who share a key of the store."""


def keys_of(limit: Limit, caller: str) -> TaggedKeys:
    """Name the key of a caller's leases."""
    tag = caller.encode(errors="backslashreplace").decode()
    return TaggedKeys([((concurrency.key_name(limit),), [tag])])


def _states(limit: Limit, reply: object, asked: int) -> list[LimitState]:
    """Return the answers to those that asked. Raises `ValueError` for a reply that cannot be."""
    _, granted, held = cast("list[int]", reply)
    if not 0 <= granted <= asked:
        raise ValueError("it grants more than was asked for, or less than nothing")
    return concurrency.answers(limit, held, granted, asked)


class RedisLease:
    """A lease, from when it is asked for until it is released."""

    __slots__ = ("_leases", "id", "is_over", "key", "renewed_s", "state")

    state: LimitState

    def __init__(self, leases: "RedisLeases", key: LeaseKey, lease_id: str) -> None:
        self._leases = leases
        self.key = key
        self.id = lease_id
        self.is_over = False
        self.renewed_s = 0.0

    def release(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._leases.end(self)


class _Work(NamedTuple):
    """What to do with the leases of one caller, in the order of the script."""

    ended: dict[str, float]
    """Ids, and when each ends by itself."""
    renewed: list[RedisLease]
    taken: list[tuple[RedisLease, Future[LimitState]]]


class RedisLeases:
    """
    The port `Leases` over a `Store`.

    One run of the script is under way at a time; what comes meanwhile is done by the next, for all
    callers at once: calls of one tick travel together, each with the key of one caller. A lease
    that is released while the store is away is owed: it is ended when the store is back, or ends by
    itself. Until then it is asked for now and then, not with each request.

    While the store cannot count, a limit with ``on_store_failure: local`` counts the requests that
    this process has under way. Their leases are renewed like others, so that they count for all
    gateways as soon as the store is back.
    """

    def __init__(self, store: Store, clock: Clock = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._prefix = secrets.token_hex(6)
        self._numbers = count()
        self._held: dict[LeaseKey, set[RedisLease]] = {}
        self._pending: dict[LeaseKey, _Work] = {}
        self._owed: dict[LeaseKey, dict[str, float]] = {}
        """What the store could not be told to end."""
        self._retry_s = -inf
        """When the store is told again of what is owed, after a reply to something else."""
        self._under_way = 0
        """Calls of the run under way, and one more until it begins."""
        self._at_rest: Future[None] | None = None
        """What waits for the end of the run under way, if anything does."""
        self._timer: TimerHandle | None = None
        self._due_s = inf
        """When the timer is due, by the loop's clock."""
        self._is_closed = False

    async def take(self, limit: Limit, caller: str) -> RequestLease:
        answer: Future[LimitState] = asyncio.get_running_loop().create_future()
        lease = RedisLease(self, (limit, caller), f"{self._prefix}{next(self._numbers):x}")
        self._work(lease.key).taken.append((lease, answer))
        self._start()
        try:
            lease.state = await answer
        except BaseException:  # the client left, or the reply was lost: it may be granted
            lease.release()
            raise
        lease.is_over = not lease.state.allowed
        return lease

    def end(self, lease: RedisLease) -> None:
        """End a lease; see `RedisLease.release`."""
        self._forget(lease)
        self._work(lease.key).ended[lease.id] = self._clock() + lease.key[0].window_s
        self._start()

    async def aclose(self) -> None:
        """End what was released; the store's deadline bounds the wait."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._tell_owed()
        if self._pending:
            self._start()
        while self._under_way:
            if self._at_rest is None or self._at_rest.done():
                self._at_rest = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._at_rest])

    def _work(self, key: LeaseKey) -> _Work:
        work = self._pending.get(key)
        if work is None:
            work = self._pending[key] = _Work({}, [], [])
        return work

    # --- runs -----------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._under_way:
            self._under_way = 1
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        pending, self._pending = self._pending, {}
        self._under_way += len(pending)
        for key, work in pending.items():
            work.ended.update(self._owed.pop(key, ()))
            # Others were released meanwhile.
            taken = [each for each in work.taken if not each[1].done()]
            renewed = [lease for lease in work.renewed if not lease.is_over]
            self._ask(key, work._replace(renewed=renewed, taken=taken))
        self._end_call(is_done=True)

    def _ask(self, key: LeaseKey, work: _Work) -> None:
        limit, caller = key
        args: list[str | int] = [limit.rate, limit.window_s * 1000]
        args += [len(work.ended), len(work.renewed), *work.ended]
        args += [lease.id for lease in work.renewed]
        args += [lease.id for lease, _ in work.taken]
        reply = asyncio.ensure_future(self._store.run(SCRIPT, keys_of(limit, caller), args))
        reply.add_done_callback(partial(self._heard, key, work))

    def _heard(self, key: LeaseKey, work: _Work, reply: Future[object]) -> None:
        try:
            states = _states(key[0], reply.result(), len(work.taken))
        except StoreUnavailable as error:
            self._go_on_without_store(key, work, error.reason)
            self._end_call(is_done=False)
        except asyncio.CancelledError:
            self._go_on_without_store(key, work, "cancelled")
            self._end_call(is_done=False)
        except Exception as error:  # noqa: BLE001 - no request may wait forever
            failure = {"message": "leases failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(failure)
            self._go_on_without_store(key, work, type(error).__name__)
            self._end_call(is_done=False)
        else:
            for lease in work.renewed:
                lease.renewed_s = self._clock()
            self._answer(work, states)
            self._end_call(is_done=True)

    def _end_call(self, *, is_done: bool) -> None:
        """Go on with the next run where this one has ended; what is owed waits for its time."""
        self._under_way -= 1
        if self._under_way:
            return
        if is_done and self._owed and self._clock() >= self._retry_s:
            self._tell_owed()
        if self._pending:
            self._start()
        elif self._at_rest is not None and not self._at_rest.done():
            self._at_rest.set_result(None)

    def _answer(self, work: _Work, states: list[LimitState]) -> None:
        for (lease, answer), state in zip(work.taken, states, strict=True):
            if answer.done():  # it was released
                continue
            if state.allowed:
                lease.renewed_s = self._clock()
                self._held.setdefault(lease.key, set()).add(lease)
                self._watch(lease.key[0].window_s)
            answer.set_result(state)

    def _forget(self, lease: RedisLease) -> None:
        held = self._held.get(lease.key)
        if held is not None:
            held.discard(lease)
            if not held:
                del self._held[lease.key]

    # --- without the store ----------------------------------------------------------------------

    def _go_on_without_store(self, key: LeaseKey, work: _Work, reason: str) -> None:
        """Answer those that wait as the limit says; end later what is to be ended."""
        self._owe(key, work.ended)
        limit, asked = key[0], len(work.taken)
        if limit.on_store_failure == "closed":
            for _, answer in work.taken:
                if not answer.done():
                    answer.set_exception(StoreUnavailable(reason))
            return
        held = len(self._held.get(key, ()))
        granted = (
            asked if limit.on_store_failure == "open" else concurrency.grant(limit, held, asked)
        )
        states = concurrency.answers(limit, held + granted, granted, asked)
        self._answer(work, states)
        ends_s = self._clock() + limit.window_s
        self._owe(key, {lease.id: ends_s for lease, _ in work.taken[granted:]})  # a lost reply

    def _owe(self, key: LeaseKey, ended: dict[str, float]) -> None:
        """End these leases when the store is back, unless they end before that."""
        now_s = self._clock()
        owed = {each: ends_s for each, ends_s in ended.items() if ends_s > now_s}
        if owed and (key in self._owed or len(self._owed) < MAX_OWING):
            known = self._owed.setdefault(key, {})
            known.update(islice(owed.items(), max(0, MAX_OWED - len(known))))
            self._watch(key[0].window_s)

    def _tell_owed(self) -> None:
        """Have the next run end what is owed."""
        self._retry_s = self._clock() + RETRY_S
        owed, self._owed = self._owed, {}
        for key, ended in owed.items():
            self._work(key).ended.update(ended)

    # --- the timer ------------------------------------------------------------------------------

    def _watch(self, window_s: float) -> None:
        """Look at the leases soon enough for one of this length."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + window_s * RENEW_SHARE / 2
        if due_s >= self._due_s or self._is_closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due_s = due_s
        self._timer = loop.call_at(due_s, self._renew)

    def _renew(self) -> None:
        self._timer, self._due_s = None, inf
        now_s = self._clock()
        for key, leases in self._held.items():
            due_s = now_s - key[0].window_s * RENEW_SHARE
            due = [lease for lease in leases if lease.renewed_s <= due_s]
            if due:
                self._work(key).renewed.extend(due)
        keys = self._held.keys() | self._owed.keys()
        if keys:
            self._watch(min(limit.window_s for limit, _ in keys))
        self._tell_owed()
        if self._pending:
            self._start()


_: tuple[type[Leases], type[RequestLease]] = RedisLeases, RedisLease
