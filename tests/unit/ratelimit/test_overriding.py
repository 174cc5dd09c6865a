"""Limits with ``overrides: true``."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.core.limit import Limit, LimitState, Spend
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.override_store import StoredOverrides
from gateway.ratelimit.overriding import OverridingLimiter
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

TWO = Limit("two", 2, 60, has_overrides=True)
PLAIN = replace(TWO, has_overrides=False)

Once = Callable[[OverridingLimiter, Limit, str], Awaitable[LimitState]]


def overriding() -> tuple[OverridingLimiter, FakeStore]:
    """Return a limiter for which ``a`` has twice the rate, and the store that says so."""
    clock = FakeClock()
    store = FakeStore(clock)
    store.values["limit-override:two:a"] = b"4/minute", 2**53
    return OverridingLimiter(LocalLimiter(clock), StoredOverrides(store, clock)), store


async def _spend(limiter: OverridingLimiter, limit: Limit, caller: str) -> LimitState:
    return await limiter.spend(limit, caller)


async def _spend_all(limiter: OverridingLimiter, limit: Limit, caller: str) -> LimitState:
    [state] = await limiter.spend_all([Spend(limit, caller)])
    return state


async def _now_or_later(limiter: OverridingLimiter, limit: Limit, caller: str) -> LimitState:
    return limiter.spend_now(limit, caller) or await limiter.spend(limit, caller)


async def _all_now_or_later(limiter: OverridingLimiter, limit: Limit, caller: str) -> LimitState:
    spends = [Spend(limit, caller)]
    [state] = limiter.spend_all_now(spends) or await limiter.spend_all(spends)
    return state


@pytest.mark.parametrize("once", [_spend, _spend_all, _now_or_later, _all_now_or_later])
async def test_each_caller_has_its_own_rate(once: Once) -> None:
    """In whichever way it is charged; the answer tells that rate."""
    limiter, _ = overriding()
    own = [await once(limiter, TWO, "a") for _ in range(5)]
    assert [True] * 4 + [False] == [state.allowed for state in own]
    assert 4 == own[0].limit.rate
    others = [await once(limiter, TWO, "b") for _ in range(3)]
    assert [True, True, False] == [state.allowed for state in others]


async def test_without_overrides_nothing_is_looked_up() -> None:
    """The configured rate counts, whatever the store holds."""
    limiter, store = overriding()
    assert 1 == (await limiter.spend(PLAIN, "a")).remaining
    state = limiter.spend_now(PLAIN, "a")
    assert state is not None
    assert 0 == state.remaining
    await limiter.settle(Spend(PLAIN, "a", 1))
    assert [] == store.asked


async def test_a_caller_that_is_not_known_waits() -> None:
    """Nothing is charged before its rate is known, neither to the limits beside."""
    limiter, _ = overriding()
    assert limiter.spend_now(TWO, "a") is None
    assert limiter.spend_all_now([Spend(PLAIN, "b"), Spend(TWO, "a")]) is None
    assert 1 == (await limiter.spend(PLAIN, "b")).remaining


async def test_costs_are_settled_with_the_own_rate() -> None:
    """What an answer cost more is charged to it."""
    limiter, _ = overriding()
    await limiter.settle(Spend(TWO, "a", 3))
    assert 0 == (await limiter.spend(TWO, "a")).remaining
