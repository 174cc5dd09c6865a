"""Limits that all gateways share, counted in the store."""

import asyncio
import time
from asyncio import Future, TimerHandle
from collections.abc import Sequence
from functools import partial
from typing import cast

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import (
    Clock,
    Limiter,
    Script,
    Store,
    TaggedKeys,
)
from gateway.core.replies import are_counts
from gateway.ratelimit.algorithm import ALGORITHMS, LimitAlgorithm
from gateway.ratelimit.charge import CallerKey, Charge, Group, by_algorithm
from gateway.ratelimit.learnt import Learnt
from gateway.ratelimit.local import LocalLimiter

WRONG_WINDOW = -1
"""Replied by the script in place of a count if our clock is too far from the store's."""

BATCH_S = 0.005
"""How long requests that were admitted ahead are collected before they are charged."""
FRESH_S = 0.1
"""How long a reply is cached; a caller that comes again later waits for a new one."""
_MAX_LEFT_S = FRESH_S + 0.001
"""More is left of a reply only where the clock was set back; then it is not used."""
MIN_RATE = 20
"""Limits below this rate, such as those of sign-in, are exact over all gateways."""
MAX_CALLERS = 10_000
"""Callers of which a reply is cached at a time: some 5 MB."""


class RedisLimiter:
    """
    The port `Limiter` over a `Store`.

    Batches charges: one run of the scripts is under way at a time, and requests that come meanwhile
    are charged by the next, for all callers at once. Runs belong to no caller: cancelling one
    affects no other (if it was charged, it stays charged). A run needs no task: it goes on when the
    store's reply is there.

    A caller that had more than half of its limit left a moment ago does not wait: its requests are
    admitted ahead and charged together, soon after. One gateway never exceeds a limit by that, as
    it counts such requests. Several gateways may, by the requests that one caller sends to all of
    them within `FRESH_S`, up to half the rate each. Limits under `MIN_RATE`, and those with
    ``on_store_failure: closed``, always wait.

    A caller that is over its limit is refused by what was learnt last, too: counts do not fall
    before ``retry_after_s``. So a flood of one caller asks the store ten times a second.

    While the store cannot count, this process counts on from what the store counted last: a limit
    that was used up stays so.

    The algorithm of a limit says how requests are counted. Time is the store's clock; every reply
    tells its offset from ours.
    """

    def __init__(self, store: Store, local: LocalLimiter, clock: Clock = time.time) -> None:
        self._store = store
        self._local = local
        self._clock = clock
        self._clock_offset_ms = 0
        """How far the store's clock is ahead of ours."""
        self._heard_at_ms = 0
        """The store's time at its last reply."""
        self._pending: dict[CallerKey, Charge] = {}
        self._is_urgent = False
        """Whether a pending charge has callers that wait."""
        self._parts = 0
        """Scripts of the run under way that are not settled yet, and one more until it begins."""
        self._at_rest: Future[None] | None = None
        """What waits for the end of the run under way, if anything does."""
        self._timer: TimerHandle | None = None
        self._learnt = Learnt(FRESH_S, MAX_CALLERS)

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        key = id(limit), caller  # charges hold the limit, so its id is not reused
        known = self._learnt.find(key)
        if known is None or not 0 < known.until_s - self._clock() <= _MAX_LEFT_S:
            return None
        if known.state.allowed:
            if known.room <= 0:
                return None
            known.room -= 1
            self._pending_charge(key, limit).ahead += 1
            if not self._parts and self._timer is None:
                self._start_later()
        return known.state

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        known = self.spend_now(limit, caller)
        if known is not None:
            return known
        answer: Future[LimitState] = asyncio.get_running_loop().create_future()
        self._pending_charge((id(limit), caller), limit).waiting.append(answer)
        self._is_urgent = True
        if not self._parts:
            self._start()
        return await answer

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        """Refuse by what was learnt of any; admit ahead where all have room."""
        fresh = [self._fresh((id(limit), caller)) for limit, caller, _ in spends]
        refused = [each.state for each in fresh if each is not None and not each.state.allowed]
        if refused:
            return refused
        known = [each for each in fresh if each is not None]
        if len(known) < len(spends):
            return None
        if any(each.room < cost for each, (_, _, cost) in zip(known, spends, strict=True)):
            return None
        for each, (limit, _, cost) in zip(known, spends, strict=True):
            each.room -= cost
            self._pending_charge(each.key, limit).ahead += cost
        if not self._parts and self._timer is None:
            self._start_later()
        return [each.state for each in known]

    def _fresh(self, key: CallerKey) -> Charge | None:
        """Return what was learnt last of a caller, if that still answers requests."""
        known = self._learnt.find(key)
        if known is None or not 0 < known.until_s - self._clock() <= _MAX_LEFT_S:
            return None
        return known

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        now = self.spend_all_now(spends)
        if now is not None:
            return now
        each = [(limit, caller) for limit, caller, cost in spends for _ in range(cost)]
        states = iter(await asyncio.gather(*(self.spend(*one) for one in each)))
        return [[next(states) for _ in range(spend.cost)][-1] for spend in spends]

    async def settle(self, spend: Spend) -> None:
        limit, caller, cost = spend
        await asyncio.gather(*(self.spend(limit, caller) for _ in range(cost)))

    async def aclose(self) -> None:
        """Charge requests that were admitted ahead; the store's deadline bounds the wait."""
        while self._pending or self._parts:  # some are admitted while a run is under way
            if not self._parts:
                self._start()
            if self._at_rest is None or self._at_rest.done():
                self._at_rest = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._at_rest])

    def _pending_charge(self, key: CallerKey, limit: Limit) -> Charge:
        charge = self._pending.get(key)
        if charge is None:
            charge = self._pending[key] = Charge(key, limit)
        return charge

    def _start_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(BATCH_S, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._parts = 1
        asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Charge what is pending; under load, also what the loop has read but not yet begun."""
        if len(self._pending) > 1:
            asyncio.get_running_loop().call_soon(self._run)
        else:
            self._run()

    def _run(self) -> None:
        parts = by_algorithm(self._take_pending())
        self._parts += len(parts)
        for name, groups in parts.items():
            self._ask(name, groups)
        self._end_part()

    def _end_part(self) -> None:
        """Go on with the next run where this one has ended."""
        self._parts -= 1
        if self._parts:
            return
        if self._is_urgent:
            self._parts = 1
            self._begin()
            return
        if self._pending:
            self._start_later()
        if self._at_rest is not None and not self._at_rest.done():
            self._at_rest.set_result(None)

    def _take_pending(self) -> list[Charge]:
        charges, self._pending = list(self._pending.values()), {}
        self._is_urgent = False
        return charges

    def _ask(self, name: str, groups: list[Group], *, is_second: bool = False) -> None:
        """Run the script of the algorithm ``name``; `_heard` gets its reply."""
        try:
            algorithm = ALGORITHMS[name]
            keys: list[tuple[tuple[str, ...], Sequence[str]]] = []
            args: list[int] = []
            count = 0
            estimate_ms = self._now_ms() + self._clock_offset_ms
            for limit, charges in groups:
                count += len(charges)
                tags = _tags([charge.key[1] for charge in charges])
                asked = [charge.ahead + len(charge.waiting) for charge in charges]
                keys.append((algorithm.names(limit, estimate_ms), tags))
                args += algorithm.args(limit, asked, estimate_ms)
            is_reply = partial(are_counts, 1 + (1 + algorithm.width) * count)
            script = Script(algorithm.name, algorithm.script, is_reply)
            reply = asyncio.ensure_future(self._store.run(script, TaggedKeys(keys), args))
            reply.add_done_callback(partial(self._heard, name, groups, is_second))
        except Exception as error:  # noqa: BLE001 - callers must not wait forever
            self._fail(groups, error)

    def _heard(
        self, name: str, groups: list[Group], is_second: bool, reply: Future[object]
    ) -> None:
        """Answer the charges of ``groups``; those that were not charged, by a second run."""
        try:
            uncharged = self._settle(ALGORITHMS[name], groups, reply)
            if uncharged and is_second:
                self._settle_without_store(uncharged, "its clock jumps")
        except Exception as error:  # noqa: BLE001 - callers must not wait forever
            self._fail(groups, error)
            return
        if uncharged and not is_second:
            self._ask(name, uncharged, is_second=True)
        else:
            self._end_part()

    def _fail(self, groups: list[Group], error: Exception) -> None:
        """Leave no caller waiting after a mistake of ours, which the event loop reports."""
        _report(error)
        waiting = [group for part in by_algorithm(self._take_pending()).values() for group in part]
        try:
            self._settle_without_store(groups, type(error).__name__)
            self._settle_without_store(waiting, "the run before it failed")
        except Exception as another:  # noqa: BLE001 - else this run would never end
            _report(another)
        _leave_none(groups + waiting)
        self._end_part()

    def _settle(
        self, algorithm: LimitAlgorithm, groups: list[Group], reply: Future[object]
    ) -> list[Group]:
        """Deliver a reply; return those not charged because our estimate of its clock was wrong."""
        try:
            numbers = cast("list[int]", reply.result())
        except StoreUnavailable as error:
            self._settle_without_store(groups, error.reason)
            return []
        except asyncio.CancelledError:
            self._settle_without_store(groups, "cancelled")
            return []
        self._heard_at_ms = now_ms = numbers[0]
        now_s = self._clock()
        self._clock_offset_ms = now_ms - int(now_s * 1000) - 1  # never early: both rounded down
        uncharged = []
        step, start = 1 + algorithm.width, 1
        for group in groups:
            end = start + step * len(group.charges)
            allowed = numbers[start:end:step]
            columns = (numbers[first:end:step] for first in range(start + 1, start + step))
            counts = list(zip(*columns, strict=True))
            start = end
            if allowed[0] == WRONG_WINDOW:
                uncharged.append(group)
            else:
                self._deliver(algorithm, group, allowed, counts, now_ms, now_s)
        return uncharged

    def _deliver(
        self,
        algorithm: LimitAlgorithm,
        group: Group,
        allowed: list[int],
        counts: list[tuple[int, ...]],
        now_ms: int,
        now_s: float,
    ) -> None:
        """Resolve the futures of ``group``, of each of whose charges so many were ``allowed``."""
        limit, charges = group
        if limit.on_store_failure == "local":
            self._local.learn(limit, [charge.key[1] for charge in charges], counts, now_ms)
        lasts = algorithm.last_states(limit, counts, now_ms)
        is_ahead, half = not _always_waits(limit), limit.capacity // 2
        pending, learnt, fresh_until_s = self._pending, self._learnt.open(now_s), now_s + FRESH_S
        for charge, number, heard, state in zip(charges, allowed, counts, lasts, strict=True):
            waiting, last = charge.waiting, state
            if len(waiting) == 1 and number > charge.ahead:
                if not waiting[0].done():
                    waiting[0].set_result(last)
            elif waiting:
                own = max(0, number - charge.ahead)
                answers = algorithm.states(limit, heard, own, len(waiting), now_ms)
                _resolve(waiting, answers)
                last = answers[-1]
            if not last.remaining:
                [last] = algorithm.states(limit, heard, 0, 1, now_ms)
            room = last.remaining - half
            if not last.allowed:
                charge.until_s = min(fresh_until_s, now_s + last.retry_after_s)
            elif room > 0 and is_ahead:
                charge.until_s = fresh_until_s
            else:
                self._learnt.forget(charge.key)
                continue
            if charge.key in pending:
                room -= pending[charge.key].asked  # these came while the script ran
            charge.room, charge.state = room, last
            waiting.clear()
            learnt[charge.key] = charge

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _settle_without_store(self, groups: list[Group], reason: str) -> None:
        self._learnt.clear()
        for limit, charges in groups:
            for charge in charges:
                waiting = [answer for answer in charge.waiting if not answer.done()]
                match limit.on_store_failure:
                    case "open":
                        passed = ALGORITHMS[limit.algorithm].uncounted(limit, self._now_ms())
                        _resolve(waiting, [passed] * len(waiting))
                    case "closed":
                        _fail(waiting, reason)
                    case _ if waiting or charge.ahead:
                        self._count_here(charge, waiting)

    def _count_here(self, charge: Charge, waiting: list[Future[LimitState]]) -> None:
        # The estimate may be early by 1 ms, which may be in another window.
        now_ms = max(self._now_ms() + self._clock_offset_ms, self._heard_at_ms)
        asked = charge.ahead + len(waiting)
        heard = self._local.charge(charge.limit, charge.key[1], asked, now_ms)
        _resolve(waiting, heard[charge.ahead :])


def _always_waits(limit: Limit) -> bool:
    """Return whether no request of ``limit`` is admitted ahead of its charge."""
    return limit.rate < MIN_RATE or limit.on_store_failure == "closed"


def _tags(callers: list[str]) -> list[str]:
    """Return ``callers`` as parts of keys: characters that cannot be encoded are escaped."""
    if "".join(callers).isascii():
        return callers
    return [caller.encode(errors="backslashreplace").decode() for caller in callers]


def _resolve(answers: list[Future[LimitState]], heard: list[LimitState]) -> None:
    """Give each of ``answers`` its part of what was ``heard``."""
    for answer, state in zip(answers, heard, strict=True):
        if not answer.done():
            answer.set_result(state)


def _report(error: Exception) -> None:
    failure = {"message": "charges failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(failure)


def _leave_none(groups: list[Group]) -> None:
    """Refuse those that still wait: a mistake of ours must not let a request wait for ever."""
    for group in groups:
        for charge in group.charges:
            for answer in charge.waiting:
                if not answer.done():
                    answer.set_exception(StoreUnavailable("not answered"))


def _fail(answers: list[Future[LimitState]], reason: str) -> None:
    for answer in answers:
        answer.set_exception(StoreUnavailable(reason))


_: type[Limiter] = RedisLimiter
