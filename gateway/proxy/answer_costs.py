"""Charges what requests cost by the answers of apps, while the answer goes out."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Spend
from gateway.core.ports import Clock, Limiter
from gateway.core.request import Outbound, RequestHeaders
from gateway.headers.answer_limits import answer_cost, told_cost

WARN_EVERY_S: Final = 60.0

_log = logging.getLogger(__name__)


class AnswerCosts:
    """Charges the rest of a cost in the background: no answer waits for it."""

    def __init__(self, limiter: Limiter, clock: Clock = time.monotonic) -> None:
        self._limiter = limiter
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._warned_until_s = 0.0

    def charge(self, outbound: Outbound, told: str) -> None:
        """
        Charge what a request cost beyond what was charged before, as its answer ``told``.

        It is given back where that is less. Routes with a fixed cost are charged nothing.
        """
        limits = outbound.limits
        if limits is None or not limits.spends:
            return
        cost = answer_cost(told)
        if cost is None:
            self._warn(outbound.route.name)
            return
        rest = [each._replace(cost=cost - each.cost) for each in limits.spends if cost != each.cost]
        if rest:
            task = asyncio.create_task(self._settle(rest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def charge_parsed(self, outbound: Outbound, headers: RequestHeaders) -> None:
        """Do what `charge` does, by the fields of an answer that was parsed."""
        if outbound.limits is not None and (told := told_cost(headers)):
            self.charge(outbound, told)

    async def aclose(self) -> None:
        """Wait until all is charged."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _warn(self, route: str) -> None:
        """Warn of a cost that is no number, at most once a minute: an app may tell it always."""
        now_s = self._clock()
        if now_s >= self._warned_until_s:
            self._warned_until_s = now_s + WARN_EVERY_S
            _log.warning("route %s: X-Gateway-Cost is no number up to 1000000: ignored", route)

    async def _settle(self, rest: Sequence[Spend]) -> None:
        try:
            await asyncio.gather(*map(self._limiter.settle, rest))
        except StoreUnavailable:
            _log.debug("the cost of an answer was not charged: the store is unavailable")
