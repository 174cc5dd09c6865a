"""Limits that are counted in this process, and told to the store ten times a second."""

import asyncio
import time
from asyncio import Future, TimerHandle
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Clock, Limiter, Script, Store, TaggedKeys
from gateway.core.replies import are_counts
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.charge import CallerKey
from gateway.ratelimit.known_caller import KnownCaller
from gateway.ratelimit.local import LocalLimiter

RECONCILE_S = 0.1
"""How often the store is told what was counted here."""
_ALL = 10**9
"""More than any limit: what was admitted here is charged, whatever the limit says."""


class ApproximateLimiter:
    """
    The port `Limiter` over a `Store`, for limits with ``approximate: true``.

    Requests of a caller are admitted at once, up to a share of the limit (see
    `gateway.ratelimit.known_caller.share`), and up to what was left of it at the last reply. All of
    them are charged by one call for each algorithm, `RECONCILE_S` later, or as soon as a request
    has to wait: one of a caller that is new here, or that has used up the share.

    What is admitted is charged even where it exceeds the limit. So all processes together never
    exceed it by more than one share for each process but one, in a window of the grid; a token
    bucket, in any stretch of a window's length. A process that is alone never exceeds it.

    While the store cannot count, this process counts on from what the store counted last.
    """

    def __init__(
        self, store: Store, local: LocalLimiter, exact: Limiter, clock: Clock = time.time
    ) -> None:
        """``exact`` gives back what was charged to the store."""
        self._store = store
        self._local = local
        self._exact = exact
        self._clock = clock
        self._clock_offset_ms = 0
        """How far the store's clock is ahead of ours."""
        self._heard_at_ms = 0
        """The store's time at its last reply."""
        self._known: dict[CallerKey, KnownCaller] = {}
        self._parts = 0
        """Calls of the run under way, and one more until it begins."""
        self._is_due = False
        """Whether the next run tells of all callers, not only of those that wait."""
        self._timer: TimerHandle | None = None
        self._at_rest: Future[None] | None = None
        """What waits for the end of the run under way, if anything does."""

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        known = self._known.get((id(limit), caller))  # it holds the limit: the id is not reused
        return None if known is None else known.take(1, self._clock())

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        return await self._spend(Spend(limit, caller))

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        states: list[LimitState] = []
        for limit, caller, cost in spends:
            known = self._known.get((id(limit), caller))
            state = None if known is None else known.take(cost, self._clock())
            if state is None or not state.allowed:
                self.give_back(spends[: len(states)])
                return None if state is None else [state]
            states.append(state)
        return states

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        states: list[LimitState] = []
        for spend in spends:
            try:
                state = await self._spend(spend)
            except BaseException:  # its client has left
                self.give_back(spends[: len(states)])
                raise
            if not state.allowed:
                self.give_back(spends[: len(states)])
                rest = [LimitState(each.limit, True, 0, 0.0, 0.0) for each in spends]
                return [*states, state, *rest[len(states) + 1 :]]
            states.append(state)
        return states

    async def settle(self, spend: Spend) -> None:
        if not self._known_caller(spend.limit, spend.caller).settle(spend.cost):
            await self._exact.settle(spend)

    def give_back(self, spends: Sequence[Spend]) -> None:
        """Undo charges that were admitted a moment ago."""
        for limit, caller, cost in spends:
            self._known_caller(limit, caller).give_back(cost)

    async def aclose(self) -> None:
        """Charge what was admitted; the store's deadline bounds the wait."""
        while self._parts or any(each.spent > 0 for each in self._known.values()):
            self._is_due = True
            self._start()
            if self._at_rest is None or self._at_rest.done():
                self._at_rest = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._at_rest])
        if self._timer is not None:
            self._timer.cancel()

    async def _spend(self, spend: Spend) -> LimitState:
        limit, caller, cost = spend
        known = self._known_caller(limit, caller)
        state = known.take(cost, self._clock())
        if state is not None:
            return state
        answer: Future[LimitState] = asyncio.get_running_loop().create_future()
        known.waiting.append((answer, cost))
        self._start()
        return await answer

    def _known_caller(self, limit: Limit, caller: str) -> KnownCaller:
        key = id(limit), caller
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = KnownCaller(limit, caller)
            self._tick_later()
        return known

    # --- runs -----------------------------------------------------------------------------------

    def _tick_later(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(RECONCILE_S, self._tick)

    def _tick(self) -> None:
        """Tell the store what was counted; forget callers that made no request since the last."""
        self._timer = None
        idle = [key for key, known in self._known.items() if known.is_idle()]
        for key in idle:
            del self._known[key]
        if self._known:
            self._is_due = True
            self._start()

    def _start(self) -> None:
        if not self._parts:
            self._parts = 1
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        parts: dict[tuple[str, int], dict[int, list[KnownCaller]]] = {}
        is_due, self._is_due = self._is_due, False
        for (limit_id, _), known in self._known.items():
            if not (is_due or known.waiting):
                continue
            known.begin_run()
            part = parts.setdefault((known.limit.algorithm, self._slot(known)), {})
            part.setdefault(limit_id, []).append(known)
        self._parts += len(parts)
        for (name, _), groups in parts.items():
            self._ask(name, list(groups.values()))
        self._end_part()

    def _slot(self, known: KnownCaller) -> int:
        """Return the slot of a caller's keys, for stores that have several."""
        return self._store.slot_of(f"{{{known.tag}}}")

    def _ask(self, name: str, groups: list[list[KnownCaller]], *, is_second: bool = False) -> None:
        algorithm = ALGORITHMS[name]
        keys: list[tuple[tuple[str, ...], Sequence[str]]] = []
        args: list[int] = []
        estimate_ms = self._estimate_ms()
        for group in groups:
            limit = _charging_all(group[0].limit)
            keys.append((algorithm.names(limit, estimate_ms), [known.tag for known in group]))
            args += algorithm.args(limit, [known.told for known in group], estimate_ms)
        count = sum(map(len, groups))
        script = Script(
            algorithm.name,
            algorithm.script,
            partial(are_counts, 1 + (1 + algorithm.width) * count),
        )
        reply = asyncio.ensure_future(self._store.run(script, TaggedKeys(keys), args))
        reply.add_done_callback(partial(self._heard, name, groups, is_second))

    def _heard(
        self,
        name: str,
        groups: list[list[KnownCaller]],
        is_second: bool,
        reply: Future[object],
    ) -> None:
        """Deliver a reply; ask once more for limits whose window was estimated wrong."""
        uncharged: list[list[KnownCaller]] = []
        try:
            uncharged = self._deliver(name, groups, cast("list[int]", reply.result()))
        except StoreUnavailable as error:
            self._go_on_without_store(groups, error.reason)
        except asyncio.CancelledError:
            self._go_on_without_store(groups, "cancelled")
        except Exception as error:  # noqa: BLE001 - callers must not wait forever
            failure = {"message": "charges failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(failure)
            self._go_on_without_store(groups, type(error).__name__)
        if uncharged and not is_second:
            self._ask(name, uncharged, is_second=True)
            return
        self._go_on_without_store(uncharged, "its clock jumps")
        self._end_part()

    def _deliver(
        self, name: str, groups: list[list[KnownCaller]], numbers: list[int]
    ) -> list[list[KnownCaller]]:
        """Return the groups that were not charged because our estimate of the clock was wrong."""
        algorithm, now_ms, now_s = ALGORITHMS[name], numbers[0], self._clock()
        self._clock_offset_ms = now_ms - int(now_s * 1000) - 1  # never early: both rounded down
        self._heard_at_ms = now_ms
        step, start, uncharged = 1 + algorithm.width, 1, []
        for group in groups:
            end = start + step * len(group)
            rows = [numbers[at : at + step] for at in range(start, end, step)]
            start = end
            if rows[0][0] < 0:  # the server's clock is in none of the windows that were named
                uncharged.append(group)
                continue
            counts = [tuple(row[1:]) for row in rows]
            limit = group[0].limit
            if limit.on_store_failure == "local":
                self._local.learn(limit, [known.caller for known in group], counts, now_ms)
            last_states = algorithm.last_states(limit, counts, now_ms)
            for known, heard, last in zip(group, counts, last_states, strict=True):
                refused = last
                if not last.remaining:
                    [refused] = algorithm.states(limit, heard, 0, 1, now_ms)
                known.hear(last.remaining, refused, now_s + min(RECONCILE_S, refused.retry_after_s))
        return uncharged

    def _end_part(self) -> None:
        self._parts -= 1
        if self._parts:
            return
        if self._known:
            self._tick_later()
        if any(known.waiting for known in self._known.values()):
            self._start()
            return
        if self._at_rest is not None and not self._at_rest.done():
            self._at_rest.set_result(None)

    def _estimate_ms(self) -> int:
        """Return the store's time; it may be early by 1 ms, which may be in another window."""
        return int(self._clock() * 1000) + self._clock_offset_ms

    # --- without the store ----------------------------------------------------------------------

    def _go_on_without_store(self, groups: list[list[KnownCaller]], reason: str) -> None:
        """Answer those that wait as their limit says; the next request asks the store again."""
        for known in (each for group in groups for each in group):
            self._known.pop((id(known.limit), known.caller), None)
            limit, now_ms = known.limit, max(self._estimate_ms(), self._heard_at_ms)
            if limit.on_store_failure == "local" and (admitted := known.told + known.spent) > 0:
                self._local.charge(limit, known.caller, admitted, now_ms)
            for answer, cost in known.waiting:
                if answer.done():
                    continue
                match limit.on_store_failure:
                    case "open":
                        answer.set_result(ALGORITHMS[limit.algorithm].uncounted(limit, now_ms))
                    case "closed":
                        answer.set_exception(StoreUnavailable(reason))
                    case _:
                        told = self._local.charge(limit, known.caller, cost, now_ms)
                        answer.set_result(told[-1])


def _charging_all(limit: Limit) -> Limit:
    """Return a limit of the same window that refuses nothing."""
    if limit.algorithm == "token-bucket":
        return replace(limit, burst=_ALL)
    return replace(limit, rate=_ALL)


_: type[Limiter] = ApproximateLimiter
