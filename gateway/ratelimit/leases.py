"""Leases of requests that are under way, which all gateways share in the store."""

import asyncio
import secrets
import time
from asyncio import Future, TimerHandle
from functools import partial
from itertools import count, islice
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
SCRIPT = Script("concurrency", concurrency.SCRIPT, partial(are_counts, 3))

LeaseKey = tuple[Limit, str]
"""A limit and a caller, who share a key of the store."""


def keys_of(limit: Limit, caller: str) -> TaggedKeys:
    """Name the key of a caller's leases."""
    tag = caller.encode(errors="backslashreplace").decode()
    return TaggedKeys([((concurrency.key_name(limit),), [tag])])


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
    that is released while the store is away is ended when it is back, or ends by itself.

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
        self._under_way = 0
        """Calls of the run under way, and one more until it begins."""
        self._at_rest: Future[None] | None = None
        """What waits for the end of the run under way, if anything does."""
        self._timer: TimerHandle | None = None
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
            _, granted, held = cast("list[int]", reply.result())
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
            self._answer(work, concurrency.answers(key[0], held, granted, len(work.taken)))
            self._end_call(is_done=True)

    def _end_call(self, *, is_done: bool) -> None:
        """Go on with the next run where this one has ended; what failed waits for the timer."""
        self._under_way -= 1
        if self._under_way:
            return
        self._watch()
        if self._pending and (is_done or any(work.taken for work in self._pending.values())):
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
        if owed:
            known = self._work(key).ended
            known.update(islice(owed.items(), max(0, MAX_OWED - len(known))))

    # --- the timer ------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Have leases renewed in time."""
        keys = self._held.keys() | self._pending.keys()
        if keys and self._timer is None and not self._is_closed:
            shortest_s = min(limit.window_s for limit, _ in keys)
            after_s = shortest_s * RENEW_SHARE / 2
            self._timer = asyncio.get_running_loop().call_later(after_s, self._renew)

    def _renew(self) -> None:
        self._timer = None
        now_s = self._clock()
        for key, leases in self._held.items():
            due_s = now_s - key[0].window_s * RENEW_SHARE
            due = [lease for lease in leases if lease.renewed_s <= due_s]
            if due:
                self._work(key).renewed.extend(due)
        if self._pending:
            self._start()
        else:
            self._watch()


_: tuple[type[Leases], type[RequestLease]] = RedisLeases, RedisLease
