"""Limits counted in one process."""

import asyncio

import pytest

from gateway.core.limit import Limit
from gateway.ratelimit.local import LocalLimiter
from tests.fakes.memory import FakeClock

THREE = Limit("three", rate=3, window_s=10)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_800_000_000.0)  # a window begins


async def test_the_rate_passes_and_no_more(clock: FakeClock) -> None:
    """The fourth of three is refused, and told when to come back."""
    limiter = LocalLimiter(clock)

    heard = [await limiter.spend(THREE, "a") for _ in range(4)]

    assert [(True, 2), (True, 1), (True, 0), (False, 0)] == [
        (state.allowed, state.remaining) for state in heard
    ]
    clock.now_s += heard[-1].retry_after_s
    assert (await limiter.spend(THREE, "a")).allowed


@pytest.mark.parametrize(
    ("wait_s", "allowed"),
    [
        pytest.param(9.999, 0, id="the-same-window"),
        pytest.param(15, 2, id="the-next-window"),
        pytest.param(20, 3, id="the-one-after-it"),
        pytest.param(-15, 3, id="a-clock-that-was-set-back"),
    ],
)
async def test_what_was_used_slides_out(clock: FakeClock, wait_s: float, allowed: int) -> None:
    """A window counts in full, then by halves, then no more."""
    limiter = LocalLimiter(clock)
    limiter.charge(THREE, "a", 3)
    clock.now_s += wait_s

    heard = limiter.charge(THREE, "a", 5)

    assert allowed == sum(state.allowed for state in heard)


async def test_callers_and_limits_are_counted_apart(clock: FakeClock) -> None:
    """What one uses up another still has."""
    limiter = LocalLimiter(clock)
    limiter.charge(THREE, "a", 3)

    states = await asyncio.gather(
        limiter.spend(THREE, "b"), limiter.spend(Limit("other", 3, 10), "a")
    )

    assert [2, 2] == [state.remaining for state in states]


async def test_memory_is_bounded(clock: FakeClock) -> None:
    """Of too many callers those seen least recently are forgotten."""
    limiter = LocalLimiter(clock, max_callers=2)
    for caller in ("old", "busy", "busy", "new"):
        limiter.charge(THREE, caller, 1)

    remaining = [(await limiter.spend(THREE, caller)).remaining for caller in ("busy", "old")]

    assert [0, 2] == remaining
    assert 2 == len(limiter._counts)
