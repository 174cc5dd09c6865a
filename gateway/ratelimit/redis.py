"""Limits that all gateways share, counted in the store."""

import asyncio
import time
from asyncio import Future, Task
from collections.abc import Iterable
from importlib.resources import files
from typing import NamedTuple, cast

from gateway.errors import StoreUnavailable
from gateway.messages import Limit, LimitState
from gateway.ports import Clock, Limiter, Script, Store
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.policy import states, uncounted, window_ms, window_number

SPEND = Script("spend", files("gateway.ratelimit").joinpath("spend.lua").read_text("utf-8"))

NOT_OUR_WINDOW = -1
"""What the script answers in place of a count where our clock is too far from the store's."""


class Charge(NamedTuple):
    """Requests of one caller against one limit, and who waits to hear about each."""

    limit: Limit
    caller: str
    answers: list[Future[LimitState]]


class RedisLimiter:
    """
    The port `Limiter` over a `Store`.

    One run of the script is under way at a time; what is asked for meanwhile, by however many
    callers, gathers for the next. The runs are tasks of their own: a caller that is cancelled
    gives up its answer and nothing else (if it was charged, it stays charged).

    Windows are the store's: keys are named by its clock, whose distance from ours is learnt from
    every reply.
    """

    def __init__(self, store: Store, local: LocalLimiter, clock: Clock = time.time) -> None:
        self._store = store
        self._local = local
        self._clock = clock
        self._ahead_ms = 0
        """What the store's clock shows more than ours."""
        self._due: dict[tuple[int, str], Charge] = {}
        self._run: Task[None] | None = None

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        if not caller.isascii():  # it becomes part of a key, and not all text can be encoded
            caller = caller.encode(errors="backslashreplace").decode()
        answer: Future[LimitState] = asyncio.get_running_loop().create_future()
        key = (id(limit), caller)  # the charge holds the limit, so its id stays its own
        if (charge := self._due.get(key)) is None:
            self._due[key] = Charge(limit, caller, [answer])
            if self._run is None:
                self._run = asyncio.get_running_loop().create_task(self._work())
        else:
            charge.answers.append(answer)
        return await answer

    async def aclose(self) -> None:
        """Wait for the run that is under way; the store's deadline bounds it."""
        if self._run is not None:
            await asyncio.wait([self._run])

    async def _work(self) -> None:
        try:
            while self._due:
                await self._settle(self._take())
        except BaseException:
            self._settle_without_store(self._take(), "the run before it failed")
            raise
        finally:
            self._run = None

    def _take(self) -> list[Charge]:
        charges, self._due = list(self._due.values()), {}
        return charges

    async def _settle(self, charges: list[Charge]) -> None:
        try:
            missed = await self._charge(charges)
            if missed and await self._charge(missed):
                raise StoreUnavailable("its clock jumps")  # noqa: TRY301 - as for any other reason
        except StoreUnavailable as error:
            self._settle_without_store(charges, error.reason)
        except BaseException as error:
            self._settle_without_store(charges, type(error).__name__)
            raise

    async def _charge(self, charges: list[Charge]) -> list[Charge]:
        """Those that could not be charged, as our clock was too far off; by now we know better."""
        keys: list[str] = []
        args: list[int] = []
        estimate_ms = self._now_ms() + self._ahead_ms
        for limit, caller, answers in charges:
            window = window_number(limit, estimate_ms)
            keys += counters(limit, caller, window)
            args += limit.rate, window_ms(limit), len(answers), window
        reply = cast("list[int]", await self._store.run(SPEND, keys, args))
        now_ms = reply[0]
        self._ahead_ms = now_ms - self._now_ms() - 1  # never early: both clocks were rounded down
        return [
            charge
            for charge, counts in zip(charges, _threes(reply), strict=True)
            if not _deliver(charge, *counts, now_ms)
        ]

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _settle_without_store(self, charges: list[Charge], reason: str) -> None:
        for limit, caller, answers in charges:
            waiting = [answer for answer in answers if not answer.done()]
            match limit.on_store_failure:
                case "open":
                    _tell(waiting, [uncounted(limit, self._now_ms())] * len(waiting))
                case "closed":
                    _refuse(waiting, reason)
                case _ if waiting:
                    _tell(waiting, self._local.charge(limit, caller, len(waiting)))


def counters(limit: Limit, caller: str, window: int) -> Iterable[str]:
    """
    The keys of the window before, of ``window`` and of the one after it.

    Those of one caller lie on one node of a cluster: the caller is their hash tag.
    """
    return [
        f"limit:{limit.name}:{number}:{{{caller}}}" for number in (window - 1, window, window + 1)
    ]


def _threes(reply: list[int]) -> Iterable[tuple[int, int, int]]:
    return zip(reply[1::3], reply[2::3], reply[3::3], strict=True)


def _deliver(charge: Charge, allowed: int, current: int, previous: int, now_ms: int) -> bool:
    """Answer those who wait for ``charge``; whether there was an answer."""
    if allowed == NOT_OUR_WINDOW:
        return False
    asked = len(charge.answers)
    _tell(charge.answers, states(charge.limit, current, previous, allowed, asked, now_ms))
    return True


def _tell(answers: list[Future[LimitState]], heard: list[LimitState]) -> None:
    for answer, state in zip(answers, heard, strict=True):
        if not answer.done():
            answer.set_result(state)


def _refuse(answers: list[Future[LimitState]], reason: str) -> None:
    for answer in answers:
        answer.set_exception(StoreUnavailable(reason))


_: type[Limiter] = RedisLimiter
