"""Costs that answers tell, charged after the fact."""

import asyncio
import logging

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import AnswerLimits, Limit, Spend
from gateway.core.request import Outbound, Target
from gateway.core.route import Route
from gateway.proxy.answer_costs import WARN_EVERY_S, AnswerCosts
from gateway.ratelimit.local import LocalLimiter
from tests.fakes.heads import multidict, request_head
from tests.fakes.memory import FakeClock

FIRST, SECOND = Spend(Limit("first", 100, 60), "a"), Spend(Limit("second", 9, 60), "b", 2)


def outbound(*spends: Spend) -> Outbound:
    """A request that was charged ``spends``, whose answer tells the cost."""
    target, route = Target("/", "/", has_encoded_slash=False), Route("reports", "/*", "app")
    peer = request_head().peer
    return Outbound(route, "GET", target, b"", None, peer, limits=AnswerLimits(b"", spends))


class Settling(LocalLimiter):
    """Writes down what is settled, once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.settled: list[Spend] = []
        self.may_go_on = asyncio.Event()
        self.error: Exception | None = None

    async def settle(self, spend: Spend) -> None:
        await self.may_go_on.wait()
        if self.error is not None:
            raise self.error
        self.settled.append(spend)


@pytest.mark.parametrize(
    ("cost", "settled"),
    [
        pytest.param(5, [FIRST._replace(cost=4), SECOND._replace(cost=3)], id="more"),
        pytest.param(0, [FIRST._replace(cost=-1), SECOND._replace(cost=-2)], id="nothing"),
        pytest.param(1, [SECOND._replace(cost=-1)], id="as-was-charged-to-one"),
    ],
)
async def test_the_rest_is_charged_later(cost: int, settled: list[Spend]) -> None:
    """The call does not wait for it; closing does."""
    limiter = Settling()
    costs = AnswerCosts(limiter)
    costs.charge(outbound(FIRST, SECOND), str(cost))
    assert [] == limiter.settled
    limiter.may_go_on.set()
    await costs.aclose()
    assert settled == limiter.settled
    await costs.aclose()


async def test_what_was_charged_exactly_takes_no_task() -> None:
    """There is nothing to settle."""
    costs = AnswerCosts(Settling())
    costs.charge(outbound(FIRST), "1")
    await costs.aclose()


async def test_a_route_with_a_fixed_cost_is_charged_nothing() -> None:
    """Whatever its app tells, and whether or not its answers tell of limits."""
    limiter = Settling()
    limiter.may_go_on.set()
    costs = AnswerCosts(limiter)
    for limits in (None, AnswerLimits(b"A: b")):
        costs.charge(outbound()._replace(limits=limits), "5")
        costs.charge_parsed(outbound()._replace(limits=limits), multidict(("X-Gateway-Cost", "5")))
    costs.charge_parsed(outbound(FIRST), multidict(("X-Other", "5")))
    await costs.aclose()
    assert [] == limiter.settled
    costs.charge_parsed(outbound(FIRST), multidict(("X-Gateway-Cost", "5")))
    await costs.aclose()
    assert [FIRST._replace(cost=4)] == limiter.settled


async def test_a_store_that_is_down_fails_no_answer() -> None:
    """The answer has gone out; what it cost is not charged."""
    limiter = Settling()
    limiter.may_go_on.set()
    limiter.error = StoreUnavailable("down")
    costs = AnswerCosts(limiter)
    costs.charge(outbound(FIRST), "5")
    await costs.aclose()
    assert [] == limiter.settled


def test_a_bad_cost_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """With the route, and without the value."""
    clock = FakeClock(1000.0)
    costs = AnswerCosts(LocalLimiter(), clock)
    with caplog.at_level(logging.WARNING):
        for advance_s, lines in ((0.0, 1), (WARN_EVERY_S - 1, 1), (1.0, 2)):
            clock.now_s += advance_s
            costs.charge(outbound(FIRST), "hunter2")
            assert lines == len(caplog.messages)
    assert "route reports: X-Gateway-Cost is no number up to 1000000: ignored" == caplog.messages[0]
