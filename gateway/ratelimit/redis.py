"""Limits that all gateways share, counted in the store."""

import asyncio
import time
from asyncio import Future, Task, TimerHandle
from dataclasses import dataclass
from typing import cast

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState
from gateway.core.ports import (
    Clock,
    Limiter,
    Script,
    Store,
)
from gateway.ratelimit.algorithm import ALGORITHMS, LimitAlgorithm
from gateway.ratelimit.local import LocalLimiter
from gateway.util.lru import LruCache

NOT_OUR_WINDOW = -1
"""What the script answers in place of a count where our clock is too far from the store's."""

GATHER_S = 0.005
"""How long requests that went ahead are gathered before they are charged."""
FRESH_S = 0.1
"""How long a reply is believed; a caller that comes again later waits for a new one."""
LEAST_RATE = 20
"""Limits below, such as those of sign-in, are exact over all gateways."""
MAX_CALLERS = 10_000

_Key = tuple[int, str]
"""The identity of a limit, and the caller."""


@dataclass(slots=True)
class Charge:
    """Requests of one caller against one limit, and who waits to hear about each."""

    limit: Limit
    caller: str
    answers: list[Future[LimitState]]
    ahead: int = 0
    """Requests that went ahead without waiting; they came before those that wait."""

    @property
    def asked(self) -> int:
        """How many requests it is for."""
        return self.ahead + len(self.answers)


@dataclass(slots=True)
class Headroom:
    """What the last reply said of a caller that was far from its limit, or over it."""

    limit: Limit
    room: int
    """How many more may go ahead."""
    until_s: float
    state: LimitState


class RedisLimiter:
    """
    The port `Limiter` over a `Store`.

    One run of the script is under way at a time; what is asked for meanwhile, by however many
    callers, gathers for the next. The runs are tasks of their own: a caller that is cancelled
    gives up its answer and nothing else (if it was charged, it stays charged).

    A caller that had more than half of its limit left a moment ago does not wait: its requests are
    charged together, soon after. This gateway never lets more pass by that, as it counts what went
    ahead; several gateways may, by what one caller sends to all of them within `FRESH_S`, and only
    up to half the rate each. Limits under `LEAST_RATE`, and those that are ``closed`` without the
    store, always wait.

    A caller that is over its limit is refused by what was learnt last, too: counts do not fall
    before ``retry_after_s``. So a flood of one caller asks the store ten times a second.

    How requests are counted is up to the algorithm of the limit. Time is the store's: its distance
    from our clock is learnt from every reply.
    """

    def __init__(self, store: Store, local: LocalLimiter, clock: Clock = time.time) -> None:
        self._store = store
        self._local = local
        self._clock = clock
        self._ahead_ms = 0
        """What the store's clock shows more than ours."""
        self._due: dict[_Key, Charge] = {}
        self._is_urgent = False
        """Whether anybody waits for what is due."""
        self._run: Task[None] | None = None
        self._timer: TimerHandle | None = None
        self._headroom: LruCache[_Key, Headroom] = LruCache(MAX_CALLERS)
        """Full, it evicts what was learnt longest ago: a flood of new callers ends no other's."""

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        key = (id(limit), caller)  # charge and headroom hold the limit, so its id stays its own
        known = self._headroom.peek(key)
        if known is not None and self._clock() < known.until_s:
            if not known.state.allowed:
                return known.state
            if known.room > 0:
                known.room -= 1
                self._charge_of(key, limit, caller).ahead += 1
                if self._run is None and self._timer is None:
                    self._start_soon()
                return known.state
        answer: Future[LimitState] = asyncio.get_running_loop().create_future()
        self._charge_of(key, limit, caller).answers.append(answer)
        self._is_urgent = True
        if self._run is None:
            self._start()
        return await answer

    async def aclose(self) -> None:
        """Charge what went ahead; the store's deadline bounds it."""
        if self._due and self._run is None:
            self._start()
        if self._run is not None:
            await asyncio.wait([self._run])

    def _charge_of(self, key: _Key, limit: Limit, caller: str) -> Charge:
        charge = self._due.get(key)
        if charge is None:
            charge = self._due[key] = Charge(limit, _encodable(caller), [])
        return charge

    def _start_soon(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._run = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        try:
            await self._settle(self._take())
            while self._is_urgent:
                await self._settle(self._take())
        except BaseException:
            self._settle_without_store(self._take(), "the run before it failed")
            raise
        finally:
            self._run = None
        if self._due:
            self._start_soon()

    def _take(self) -> list[Charge]:
        charges, self._due = list(self._due.values()), {}
        self._is_urgent = False
        return charges

    async def _settle(self, charges: list[Charge]) -> None:
        try:
            for algorithm, alike in _by_algorithm(charges).items():
                await self._settle_alike(ALGORITHMS[algorithm], alike)
        except BaseException as error:
            self._settle_without_store(charges, type(error).__name__)
            raise

    async def _settle_alike(self, algorithm: LimitAlgorithm, charges: list[Charge]) -> None:
        try:
            missed = await self._charge(algorithm, charges)
            if missed and await self._charge(algorithm, missed):
                raise StoreUnavailable("its clock jumps")  # noqa: TRY301 - as for any other reason
        except StoreUnavailable as error:
            self._settle_without_store(charges, error.reason)

    async def _charge(self, algorithm: LimitAlgorithm, charges: list[Charge]) -> list[Charge]:
        """Charge; returns those that were not charged, as our clock was too far off until now."""
        keys: list[str] = []
        args: list[int] = []
        estimate_ms = self._now_ms() + self._ahead_ms
        for charge in charges:
            keys += algorithm.keys(charge.limit, charge.caller, estimate_ms)
            args += algorithm.args(charge.limit, charge.asked, estimate_ms)
        script = Script(algorithm.name, algorithm.script)
        reply = cast("list[int]", await self._store.run(script, keys, args))
        now_ms = reply[0]
        self._ahead_ms = now_ms - self._now_ms() - 1  # never early: both clocks were rounded down
        step = 1 + algorithm.width
        return [
            charge
            for charge, start in zip(charges, range(1, len(reply), step), strict=True)
            if not self._deliver(algorithm, charge, reply[start : start + step], now_ms)
        ]

    def _deliver(
        self, algorithm: LimitAlgorithm, charge: Charge, reply: list[int], now_ms: int
    ) -> bool:
        """Answer those who wait for ``charge``; whether there was an answer."""
        allowed, *counts = reply
        if allowed == NOT_OUR_WINDOW:
            return False
        limit, states = charge.limit, algorithm.states
        waiting, heard = len(charge.answers), max(0, allowed - charge.ahead)
        _tell(charge.answers, states(limit, counts, heard, waiting, now_ms))
        last = states(limit, counts, 1, 1, now_ms)[0]
        if last.remaining:
            self._learn(charge, last, FRESH_S)
        else:
            refused = states(limit, counts, 0, 1, now_ms)[0]
            self._learn(charge, refused, min(FRESH_S, refused.retry_after_s))
        return True

    def _learn(self, charge: Charge, state: LimitState, fresh_s: float) -> None:
        limit = charge.limit
        room = state.remaining - limit.rate // 2
        must_ask = room <= 0 or limit.rate < LEAST_RATE or limit.on_store_failure == "closed"
        if must_ask and state.allowed:
            self._headroom.forget((id(limit), charge.caller))
            return
        fresh = Headroom(limit, room, self._clock() + fresh_s, state)
        self._headroom.put((id(limit), charge.caller), fresh)
        if (due := self._due.get((id(limit), charge.caller))) is not None:
            fresh.room -= due.asked  # they came while the script ran

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _settle_without_store(self, charges: list[Charge], reason: str) -> None:
        self._headroom.clear()
        for charge in charges:
            limit = charge.limit
            waiting = [answer for answer in charge.answers if not answer.done()]
            match limit.on_store_failure:
                case "open":
                    passed = ALGORITHMS[limit.algorithm].uncounted(limit, self._now_ms())
                    _tell(waiting, [passed] * len(waiting))
                case "closed":
                    _refuse(waiting, reason)
                case _ if waiting or charge.ahead:
                    asked = charge.ahead + len(waiting)
                    heard = self._local.charge(limit, charge.caller, asked)
                    _tell(waiting, heard[charge.ahead :])


def _encodable(caller: str) -> str:
    """It becomes part of a key, and not all text can be encoded."""
    return caller if caller.isascii() else caller.encode(errors="backslashreplace").decode()


def _by_algorithm(charges: list[Charge]) -> dict[str, list[Charge]]:
    """Group charges: each algorithm has a script of its own."""
    groups: dict[str, list[Charge]] = {}
    for charge in charges:
        groups.setdefault(charge.limit.algorithm, []).append(charge)
    return groups


def _tell(answers: list[Future[LimitState]], heard: list[LimitState]) -> None:
    for answer, state in zip(answers, heard, strict=True):
        if not answer.done():
            answer.set_result(state)


def _refuse(answers: list[Future[LimitState]], reason: str) -> None:
    for answer in answers:
        answer.set_exception(StoreUnavailable(reason))


_: type[Limiter] = RedisLimiter
