"""Decisions of limits, counted by the limits' names."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.core.limit import Limit, Spend
from gateway.core.limit_counts import LimitCounts
from gateway.ratelimit.counted import CountedLeases, CountedLimiter, CountsByLimit
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.shadow import ShadowLimiter
from tests.fakes.ports import RecordingLeases, RecordingLimiter

TWO = Limit("two", 2, 60)
WIDE = Limit("wide", 100, 60)
SHADOW = Limit("shadow", 1, 60, is_shadow=True)

Once = Callable[[CountedLimiter, Limit], Awaitable[object]]


def _decided(counted: CountsByLimit, name: str) -> tuple[int, int, int]:
    found = counted.get(name, LimitCounts())
    return found.allowed, found.refused, found.shadowed


async def _spend_now(limiter: CountedLimiter, limit: Limit) -> object:
    return limiter.spend_now(limit, "a")


async def _spend(limiter: CountedLimiter, limit: Limit) -> object:
    return await limiter.spend(limit, "a")


async def _spend_all_now(limiter: CountedLimiter, limit: Limit) -> object:
    return limiter.spend_all_now([Spend(limit, "a")])


async def _spend_all(limiter: CountedLimiter, limit: Limit) -> object:
    return await limiter.spend_all([Spend(limit, "a")])


@pytest.mark.parametrize("once", [_spend_now, _spend, _spend_all_now, _spend_all])
async def test_each_decision_is_counted_once(once: Once) -> None:
    """However the limit is charged, each answer is that of the limiter behind."""
    counted: CountsByLimit = {}
    limiter = CountedLimiter(LocalLimiter(lambda: 1_800_000_000.0), counted)
    for _ in range(5):
        assert await once(limiter, TWO) is not None
    assert (2, 3, 0) == _decided(counted, "two")


async def test_what_was_not_charged_is_not_counted() -> None:
    """Not by a look that would have to wait, nor beside a limit that refuses."""
    counted: CountsByLimit = {}
    limiter = CountedLimiter(RecordingLimiter([], waits=["two"]), counted)
    assert limiter.spend_now(TWO, "a") is None
    assert limiter.spend_all_now([Spend(TWO, "a")]) is None
    assert {} == counted
    limiter = CountedLimiter(LocalLimiter(lambda: 1_800_000_000.0), counted)
    for _ in range(3):
        await limiter.spend_all([Spend(TWO, "a"), Spend(WIDE, "a")])
    assert (2, 1, 0) == _decided(counted, "two")
    assert (2, 0, 0) == _decided(counted, "wide")


async def test_what_a_shadow_limit_lets_through_is_told_apart() -> None:
    """It is no refusal, and was not within the limit."""
    counted: CountsByLimit = {}
    behind = ShadowLimiter(LocalLimiter(lambda: 1_800_000_000.0), lambda _limit: None)
    limiter = CountedLimiter(behind, counted)
    for _ in range(3):
        await limiter.spend(SHADOW, "a")
    assert (1, 0, 2) == _decided(counted, "shadow")


async def test_costs_are_settled_behind() -> None:
    """What a request cost beyond its charge is no decision."""
    counted: CountsByLimit = {}
    limiter = CountedLimiter(LocalLimiter(lambda: 1_800_000_000.0), counted)
    await limiter.settle(Spend(TWO, "a", 5))
    assert {} == counted
    assert not (await limiter.spend(TWO, "a")).allowed


async def test_leases_are_counted() -> None:
    """A place that was given, and one that was not."""
    counted: CountsByLimit = {}
    leases = CountedLeases(RecordingLeases([], used_up=["two"]), counted)
    assert not (await leases.take(TWO, "a")).state.allowed
    assert (await leases.take(WIDE, "a")).state.allowed
    assert (0, 1, 0) == _decided(counted, "two")
    assert (1, 0, 0) == _decided(counted, "wide")
