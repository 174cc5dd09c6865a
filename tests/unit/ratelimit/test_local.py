"""Rate limits counted in one process."""

import asyncio

import pytest

from gateway.core.limit import Limit, Spend
from gateway.ratelimit.local import LocalLimiter
from tests.fakes.memory import FakeClock

THREE = Limit("three", rate=3, window_s=10)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_800_000_000.0)  # a window begins


async def test_requests_beyond_the_rate_are_refused(clock: FakeClock) -> None:
    """The refusal says when to come back."""
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
async def test_old_requests_slide_out_of_the_window(
    clock: FakeClock, wait_s: float, allowed: int
) -> None:
    """They count in full, then in part, then not at all."""
    limiter = LocalLimiter(clock)
    limiter.charge(THREE, "a", 3)
    clock.now_s += wait_s

    heard = limiter.charge(THREE, "a", 5)

    assert allowed == sum(state.allowed for state in heard)


async def test_callers_and_limits_are_counted_apart(clock: FakeClock) -> None:
    """One caller's requests do not use up another's limit."""
    limiter = LocalLimiter(clock)
    limiter.charge(THREE, "a", 3)

    states = await asyncio.gather(
        limiter.spend(THREE, "b"), limiter.spend(Limit("other", 3, 10), "a")
    )

    assert [2, 2] == [state.remaining for state in states]


async def test_memory_is_bounded(clock: FakeClock) -> None:
    """The callers seen least recently are evicted."""
    limiter = LocalLimiter(clock, max_callers=2)
    for caller in ("old", "busy", "busy", "new"):
        limiter.charge(THREE, caller, 1)

    remaining = [(await limiter.spend(THREE, caller)).remaining for caller in ("busy", "old")]

    assert [0, 2] == remaining
    assert 2 == len(limiter)


@pytest.mark.parametrize(
    ("wait_s", "allowed"), [(0.0, 0), (15.0, 2), (20.0, 3)], ids=["now", "next", "after"]
)
async def test_it_counts_on_from_what_it_has_learnt(
    clock: FakeClock, wait_s: float, allowed: int
) -> None:
    """Learnt requests slide out of the window like its own."""
    limiter = LocalLimiter(clock)
    limiter.learn(THREE, ["a"], [(3, 0)], int(clock.now_s * 1000))
    clock.now_s += wait_s

    heard = limiter.charge(THREE, "a", 5)

    assert allowed == sum(state.allowed for state in heard)


async def test_it_learns_no_less_than_it_has_counted(clock: FakeClock) -> None:
    """The store did not hear of what was counted here."""
    limiter = LocalLimiter(clock)
    limiter.charge(THREE, "a", 2)

    limiter.learn(THREE, ["a"], [(1, 0)], int(clock.now_s * 1000))

    assert [True, False] == [state.allowed for state in limiter.charge(THREE, "a", 2)]


async def test_what_is_learnt_is_bounded(clock: FakeClock) -> None:
    """As what is counted is."""
    limiter = LocalLimiter(clock, max_callers=2)
    for caller in ("a", "b", "c"):
        limiter.learn(THREE, [caller], [(3, 0)], int(clock.now_s * 1000))

    assert 2 == len(limiter)
    assert limiter.charge(THREE, "a", 1)[0].allowed


async def test_a_flood_against_one_limit_evicts_no_caller_of_another(clock: FakeClock) -> None:
    """Callers of the limit that has most of them go first."""
    limiter = LocalLimiter(clock, max_callers=3)
    quiet = Limit("quiet", rate=3, window_s=10)
    limiter.charge(quiet, "a", 3)

    limiter.learn(THREE, [f"flood-{number}" for number in range(9)], [(3, 0)] * 9, 0)

    assert 3 == len(limiter)
    assert not limiter.charge(quiet, "a", 1)[0].allowed


async def test_who_comes_again_is_evicted_last(clock: FakeClock) -> None:
    """Learning of a caller counts as seeing it."""
    limiter = LocalLimiter(clock, max_callers=2)
    now_ms = int(clock.now_s * 1000)
    limiter.learn(THREE, ["a", "b"], [(3, 0), (3, 0)], now_ms)
    limiter.learn(THREE, ["a"], [(3, 0)], now_ms)
    limiter.learn(THREE, ["c"], [(3, 0)], now_ms)

    heard = [limiter.charge(THREE, caller, 1)[0].allowed for caller in "acb"]

    assert [False, False, True] == heard


async def test_several_limits_are_charged_together_or_not_at_all(clock: FakeClock) -> None:
    """Whichever of them has too little left."""
    limiter = LocalLimiter(clock)
    wide = Limit("wide", 10, 10)
    both = [Spend(wide, "a"), Spend(THREE, "a", 2)]
    told = [await limiter.spend_all(both) for _ in range(2)]

    assert [[True, True], [True, False]] == [[each.allowed for each in states] for states in told]
    assert [8, 0] == [limiter.spend_now(limit, "a").remaining for limit in (wide, THREE)]


def test_a_caller_is_forgotten_by_limit() -> None:
    """Others, and other limits, count on."""
    limiter = LocalLimiter(lambda: 1_800_000_000.0)
    one, other = Limit("one", 5, 60), Limit("other", 5, 60)
    for caller in "ab":
        limiter.spend_now(one, caller)
    limiter.spend_now(other, "a")
    limiter.forget("one", "a")
    told = [
        limiter.spend_now(limit, caller) for limit, caller in ((one, "a"), (one, "b"), (other, "a"))
    ]
    assert [4, 3, 3] == [state.remaining for state in told]
