"""Limits that all gateways share, counted in the store."""

import asyncio
import time
from asyncio import Future, TimerHandle
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import cast

from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import InvalidationKind
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Bus, Clock, Limiter, Store
from gateway.ratelimit.bundle import Bundle, BundlePart, How, by_slot, slot_of, unknown
from gateway.ratelimit.census import Census
from gateway.ratelimit.charge import CallerKey, Charge, by_algorithm, merged
from gateway.ratelimit.ledger import FRESH_S, Ledger
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.run_part import ChargePart, RunPart

BATCH_S = 0.005
"""How long requests that were admitted ahead are collected before they are charged."""
_MAX_LEFT_S = FRESH_S + 0.001
"""More is left of a reply only where the clock was set back; then it is not used."""


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
    them within `FRESH_S`: by a part of `AHEAD_SHARE` of the limit, together. Limits under
    `MIN_RATE`, and those with ``on_store_failure: closed``, always wait.

    A caller that is over its limit is refused by what was learnt last, too: counts do not fall
    before ``retry_after_s``. So a flood of one caller asks the store ten times a second.

    While the store cannot count, this process counts on from what the store counted last: a limit
    that was used up stays so.

    The algorithm of a limit says how requests are counted. Time is the store's clock; every reply
    tells its offset from ours.
    """

    def __init__(
        self,
        store: Store,
        local: LocalLimiter,
        clock: Clock = time.time,
        census: Census | None = None,
        bus: Bus | None = None,
    ) -> None:
        """
        Count by ``census`` the processes of one store; without one this process is alone there.

        ``bus`` tells the others where a caller has room again before its time.
        """
        self._store = store
        self._clock = clock
        self._census = census
        self._bus = bus
        self._ledger = Ledger(local, clock, census)
        self._learnt = self._ledger.learnt
        self._blocks = self._ledger.blocks
        self._blocked = self._blocks.by_key
        self._has_slots = store.slot_of("{a}") != store.slot_of("{b}")
        self._bundles: list[Bundle] = []
        self._is_urgent = False
        """Whether a pending charge has callers that wait."""
        self._parts = 0
        """Scripts of the run under way that are not settled yet, and one more until it begins."""
        self._at_rest: Future[None] | None = None
        """What waits for the end of the run under way, if anything does."""
        self._timer: TimerHandle | None = None

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        key = id(limit), caller  # charges hold the limit, so its id is not reused
        known = self._learnt.find(key)
        if known is None or not 0 < known.until_s - self._clock() <= _MAX_LEFT_S:
            return self._blocks.find(key, 1, self._clock()) if key in self._blocked else None
        if known.room <= 0:
            self._want_census()
            return None
        known.room -= 1
        self._ledger.pending_charge(key, limit).ahead += 1
        if not self._parts and self._timer is None:
            self._start_later()
        return known.state

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        known = self.spend_now(limit, caller)
        if known is not None:
            return known
        answer: Future[LimitState] = asyncio.get_running_loop().create_future()
        self._ledger.pending_charge((id(limit), caller), limit).waiting.append(answer)
        self._is_urgent = True
        if not self._parts:
            self._start()
        return await answer

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        distinct, places = merged(spends)
        states = self._distinct_now(distinct)
        return None if states is None else [states[place] for place in places]

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        distinct, places = merged(spends)
        states = self._distinct_now(distinct)
        if states is None:
            states = await self._distinct(distinct)
        return [states[place] for place in places]

    async def settle(self, spend: Spend) -> None:
        if not spend.cost:
            return
        with suppress(StoreUnavailable):  # the request was answered: there is nothing to refuse
            states = await self._bundled([spend], How.WHATEVER_IS_LEFT)
            await self._tell_room([spend], states)

    def forget(self, name: str) -> None:
        """Ask the store for the next request of a caller: its limit's name, a space, the caller."""
        rule, _, caller = name.partition(" ")
        self._blocks.forget(rule, caller)
        self._learnt.forget_caller(rule, caller)
        self._ledger.local.forget(rule, caller)

    def forget_all(self) -> None:
        """Ask the store for the next request of every caller: messages may have been missed."""
        self._ledger.forget_all()

    async def aclose(self) -> None:
        """Charge requests that were admitted ahead; the store's deadline bounds the wait."""
        while self._ledger.pending or self._bundles or self._parts:  # some come during a run
            if not self._parts:
                self._start()
            if self._at_rest is None or self._at_rest.done():
                self._at_rest = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._at_rest])

    # --- several charges of one request ---------------------------------------------------------

    def _distinct_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        """Refuse by what is known of any; admit ahead where all have room."""
        now_s, known = self._clock(), []
        refused: dict[int, LimitState] = {}
        for place, (limit, caller, cost) in enumerate(spends):
            key = id(limit), caller
            one = self._fresh(key, now_s)
            if one is not None and one.room >= cost:
                known.append(one)
                continue
            if one is not None:
                self._want_census()
            if (refusal := self._blocks.find(key, cost, now_s)) is not None:
                refused[place] = refusal
        if refused:
            now_ms = self._ledger.estimate_ms()
            return [
                refused.get(place) or unknown(spend.limit, now_ms)
                for place, spend in enumerate(spends)
            ]
        if len(known) < len(spends):
            return None
        for one, (limit, caller, cost) in zip(known, spends, strict=True):
            one.room -= cost
            self._ledger.pending_charge((id(limit), caller), limit).ahead += cost
        if not self._parts and self._timer is None:
            self._start_later()
        return [one.state for one in known]

    def _fresh(self, key: CallerKey, now_s: float) -> Charge | None:
        known = self._learnt.find(key)
        is_fresh = known is not None and 0 < known.until_s - now_s <= _MAX_LEFT_S
        return known if is_fresh else None

    async def _distinct(self, spends: Sequence[Spend]) -> list[LimitState]:
        """Charge by one call of the script, or by one for each slot."""
        if len(spends) == 1 and spends[0].cost == 1:
            return [await self.spend(spends[0].limit, spends[0].caller)]
        parts = by_slot(self._store, spends) if self._has_slots else [spends]
        if len(parts) == 1:
            return await self._bundled(spends, How.ALL_OR_NONE)
        return await self._reserve(parts, spends)

    async def _reserve(
        self, parts: Sequence[Sequence[Spend]], spends: Sequence[Spend]
    ) -> list[LimitState]:
        """Charge one part after the other; where one refuses, give back what was charged before."""
        reserved: list[Bundle] = []
        told: dict[Spend, LimitState] = {}
        for part in parts:
            bundle = self._bundle(part, How.ALL_OR_NONE)
            try:
                states = await bundle.answer
            except StoreUnavailable:
                await self._give_back(reserved)
                raise
            told |= zip(part, states, strict=True)
            if not all(state.allowed for state in states):
                await self._give_back(reserved)
                break
            reserved.append(bundle)
        now_ms = self._ledger.estimate_ms()
        return [told.get(spend) or unknown(spend.limit, now_ms) for spend in spends]

    async def _give_back(self, reserved: Sequence[Bundle]) -> None:
        """Give back what was charged, all at once, each in the window in which that was."""
        begun = []
        for bundle in reserved:
            back = [spend._replace(cost=-spend.cost) for spend in bundle.spends]
            if bundle.at_ms is None:
                self._ledger.give_back_here(back)
            else:
                begun.append(self._bundle(back, How.IN_ITS_WINDOW, bundle.at_ms))
        for bundle in begun:
            with suppress(StoreUnavailable):  # then it stays charged: never too much passes
                await self._tell_room(bundle.spends, await bundle.answer)

    async def _tell_room(self, spends: Sequence[Spend], states: Sequence[LimitState]) -> None:
        """Tell all gateways which callers had nothing left before something was given back."""
        for (limit, caller, cost), state in zip(spends, states, strict=False):
            if self._bus is not None and 0 < state.remaining <= -cost:
                await self._bus.publish(InvalidationKind.LIMIT, f"{limit.name} {caller}")

    async def _bundled(self, spends: Sequence[Spend], how: How) -> list[LimitState]:
        return await self._bundle(spends, how).answer

    def _bundle(self, spends: Sequence[Spend], how: How, at_ms: int | None = None) -> Bundle:
        """Have ``spends`` charged by the next run; while they wait, their room is taken."""
        bundle = Bundle(spends, how, asyncio.get_running_loop().create_future(), at_ms)
        self._bundles.append(bundle)
        for limit, caller, cost in spends:
            self._ledger.take_room((id(limit), caller), cost)
        self._hurry()
        return bundle

    # --- runs -----------------------------------------------------------------------------------

    def _want_census(self) -> None:
        if self._census is not None:
            self._census.is_wanted = True

    def _hurry(self) -> None:
        """Have what is pending charged at once, as its callers wait."""
        self._is_urgent = True
        if not self._parts:
            self._start()

    def _start_later(self) -> None:
        self._want_census()
        self._timer = asyncio.get_running_loop().call_later(BATCH_S, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._parts = 1
        asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Charge what is pending; under load, also what the loop has read but not yet begun."""
        if len(self._ledger.pending) + len(self._bundles) > 1:
            asyncio.get_running_loop().call_soon(self._run)
        else:
            self._run()

    def _run(self) -> None:
        """Ask the store for all that is pending: at most one call of a script and slot."""
        parts = self._take_parts()
        self._parts += len(parts)
        for part in parts:
            self._ask(part)
        if self._census is not None:
            self._census.ask(self._store, self._clock())
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
        if self._ledger.pending:
            self._start_later()
        if self._at_rest is not None and not self._at_rest.done():
            self._at_rest.set_result(None)

    def _take_parts(self) -> list[RunPart]:
        """Take what is pending: what was admitted ahead of a bundle is charged before it."""
        self._is_urgent = False
        charges = self._ledger.take_pending()
        if not (self._bundles or self._has_slots):  # as in most runs
            return [ChargePart(*each) for each in by_algorithm(charges).items()]
        bundles, self._bundles = self._bundles, []
        parts: list[RunPart] = []
        for group in self._charges_by_slot(charges):
            parts += (ChargePart(*each) for each in by_algorithm(group).items())
        parts += map(BundlePart, self._bundles_by_slot(bundles))
        return parts

    def _charges_by_slot(self, charges: list[Charge]) -> list[list[Charge]]:
        if not self._has_slots:
            return [charges]
        slots: defaultdict[int, list[Charge]] = defaultdict(list)
        for charge in charges:
            slots[slot_of(self._store, charge.key[1])].append(charge)
        return [*slots.values()]

    def _bundles_by_slot(self, bundles: list[Bundle]) -> list[list[Bundle]]:
        if not self._has_slots:
            return [bundles] if bundles else []
        slots: defaultdict[int, list[Bundle]] = defaultdict(list)
        for bundle in bundles:
            slots[slot_of(self._store, bundle.spends[0].caller)].append(bundle)
        return [*slots.values()]

    def _ask(self, part: RunPart, *, is_second: bool = False) -> None:
        """Run the script of ``part``; `_heard` gets its reply."""
        try:
            reply = asyncio.ensure_future(part.ask(self._store, self._ledger.estimate_ms()))
            reply.add_done_callback(partial(self._heard, part, is_second))
        except Exception as error:  # noqa: BLE001 - callers must not wait forever
            self._fail(part, error)

    def _heard(self, part: RunPart, is_second: bool, reply: Future[object]) -> None:
        """Answer ``part``; what was not charged, by a second run."""
        try:
            uncharged = self._settled(part, reply)
            if uncharged and is_second:
                self._count_without_store(uncharged, "its clock jumps")
        except Exception as error:  # noqa: BLE001 - callers must not wait forever
            self._fail(part, error)
            return
        if uncharged and not is_second:
            self._ask(uncharged, is_second=True)
        else:
            self._end_part()

    def _settled(self, part: RunPart, reply: Future[object]) -> RunPart | None:
        """Deliver a reply; return what is not charged: our estimate of its clock was wrong."""
        try:
            numbers = cast("list[int]", reply.result())
        except StoreUnavailable as error:
            self._count_without_store(part, error.reason)
            return None
        except asyncio.CancelledError:
            self._count_without_store(part, "cancelled")
            return None
        return part.hear(numbers, self._ledger)

    def _count_without_store(self, part: RunPart, reason: str) -> None:
        self._ledger.forget_all()
        part.count_without_store(self._ledger, reason)

    def _fail(self, part: RunPart, error: Exception) -> None:
        """Leave no caller waiting after a mistake of ours, which the event loop reports."""
        _report(error)
        waiting = self._take_parts()
        try:
            self._count_without_store(part, type(error).__name__)
            for other in waiting:
                self._count_without_store(other, "the run before it failed")
        except Exception as another:  # noqa: BLE001 - else this run would never end
            _report(another)
        for each in (part, *waiting):
            each.leave_none()
        self._end_part()


def _report(error: Exception) -> None:
    failure = {"message": "charges failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(failure)


_: type[Limiter] = RedisLimiter
