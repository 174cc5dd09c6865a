"""Callers far from their limit are admitted ahead and charged together soon after."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.census import Census
from gateway.ratelimit.ledger import FRESH_S
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

WIDE = Limit("wide", rate=100, window_s=60)
THOUSAND = Limit("any", 1000, 3600)
LIKE_IT = Limit("any", 1000, 3600, "closed")
"""The same, but that each request waits for its charge."""


class Server:
    """A store that counts in one window and records the size of each charge."""

    def __init__(self) -> None:
        self.count = 0
        self.runs: list[int] = []
        self.now_ms = 1_000_000

    def spend(self, _: Sequence[str], args: Sequence[str | int | bytes]) -> list[int]:
        rate, _length, _window, _charges, asked = (int(arg) for arg in args)
        allowed = max(0, min(asked, rate - self.count))
        self.count += allowed
        self.runs.append(asked)
        return [self.now_ms, allowed, self.count, 0]


class LimiterUnderTest:
    """A limiter with its store and clock."""

    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.server = Server()
        self.store = FakeStore(self.clock, {"sliding_window": self.server.spend})
        self.limiter = RedisLimiter(self.store, LocalLimiter(self.clock), self.clock)

    async def spend(self, limit: Limit = WIDE) -> bool:
        return (await self.limiter.spend(limit, "a")).allowed


@pytest.fixture
def under_test() -> LimiterUnderTest:
    return LimiterUnderTest()


async def test_a_caller_far_from_its_limit_does_not_wait(under_test: LimiterUnderTest) -> None:
    """The first request asks the store; the next ones are charged in one run."""
    assert [True] * 11 == [await under_test.spend() for _ in range(11)]
    assert [1] == under_test.server.runs

    await under_test.limiter.aclose()

    assert [1, 10] == under_test.server.runs


async def test_requests_admitted_ahead_are_charged_by_a_timer(under_test: LimiterUnderTest) -> None:
    """No further request is needed."""
    await under_test.spend()
    await under_test.spend()
    async with asyncio.timeout(20):
        while under_test.server.count < 2:
            await asyncio.sleep(0)


async def test_only_half_of_a_limit_is_admitted_ahead(under_test: LimiterUnderTest) -> None:
    """With half of it gone, each request waits for its own reply."""
    for _ in range(60):
        await under_test.spend()

    assert [1, 50] == under_test.server.runs[:2]
    assert [1] * 9 == under_test.server.runs[2:]


async def test_a_reply_is_cached_for_100_ms(under_test: LimiterUnderTest) -> None:
    """Other gateways may have charged the caller meanwhile."""
    await under_test.spend()
    under_test.clock.now_s += FRESH_S
    await under_test.spend()

    assert [1, 1] == under_test.server.runs


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(Limit("sign-in", 15, 60), id="a-small-limit"),
        pytest.param(Limit("strict", 100, 60, "closed"), id="one-that-is-closed-without-the-store"),
    ],
)
async def test_low_and_closed_limits_always_wait(
    under_test: LimiterUnderTest, limit: Limit
) -> None:
    """Every request asks the store."""
    for _ in range(5):
        await under_test.spend(limit)

    assert [1] * 5 == under_test.server.runs


async def test_no_request_is_admitted_ahead_after_a_failure(under_test: LimiterUnderTest) -> None:
    """Those admitted before are charged locally, on top of what the store has counted."""
    await under_test.spend()
    await under_test.spend()
    under_test.store.is_down = True
    await under_test.limiter.aclose()

    state = await under_test.limiter.spend(WIDE, "a")

    assert 97 == state.remaining


async def test_requests_during_a_run_reduce_the_headroom(under_test: LimiterUnderTest) -> None:
    """Its reply does not include them."""
    await under_test.spend()
    for _ in range(10):
        await under_test.spend()
    under_test.store.gate.clear()
    closing = asyncio.ensure_future(under_test.limiter.aclose())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _ in range(20):
        await under_test.spend()
    under_test.store.gate.set()
    await closing

    learnt = under_test.limiter._learnt.find((id(WIDE), "a"))
    assert learnt is not None
    assert 100 - 11 - 50 - 20 == learnt.room


@given(st.lists(st.booleans(), max_size=300), st.integers(20, 120))
async def test_one_gateway_never_exceeds_the_rate(charges_now: list[bool], rate: int) -> None:
    """The order of requests and runs does not matter."""
    under_test = LimiterUnderTest()
    limit = Limit("any", rate, 60)
    passed = 0
    for charge_now in charges_now:
        passed += await under_test.spend(limit)
        if charge_now:
            await under_test.limiter.aclose()
    await under_test.limiter.aclose()

    assert min(rate, len(charges_now)) == passed == under_test.server.count


async def test_a_caller_over_its_limit_is_refused_from_the_cache(
    under_test: LimiterUnderTest,
) -> None:
    """A flood costs the store nothing until there is room; each is told how long that takes."""
    strict = Limit("strict", rate=2, window_s=60)
    assert [True, True] + [False] * 50 == [await under_test.spend(strict) for _ in range(52)]
    first = await under_test.limiter.spend(strict, "a")

    under_test.clock.now_s += 10
    later = await under_test.limiter.spend(strict, "a")

    assert [1, 1] == under_test.server.runs
    assert first.retry_after_s - 10 == pytest.approx(later.retry_after_s)
    assert first.reset_s - 10 == pytest.approx(later.reset_s)


async def test_a_caller_that_was_set_back_is_not_refused_from_the_cache(
    under_test: LimiterUnderTest,
) -> None:
    """The bus tells it; other callers stay refused."""
    strict = Limit("strict", rate=1, window_s=60)
    for caller in ("a", "b"):
        await under_test.limiter.spend(strict, caller)
        under_test.server.count = 1
    assert not (await under_test.limiter.spend(strict, "a")).allowed
    under_test.server.count = 0

    under_test.limiter.forget("strict a")
    states = [await under_test.limiter.spend(strict, caller) for caller in ("a", "b")]

    assert [True, False] == [state.allowed for state in states]
    under_test.server.count = 0
    under_test.limiter.forget_all()
    assert (await under_test.limiter.spend(strict, "b")).allowed


async def test_a_cached_refusal_ends_with_its_retry_after(under_test: LimiterUnderTest) -> None:
    """No caller is refused for longer than it was told."""
    under_test.server.now_ms = 1_019_980  # the window of 60 s ends in 20 ms
    strict = Limit("strict", rate=2, window_s=60)
    assert [True, True, False] == [await under_test.spend(strict) for _ in range(3)]
    refused = await under_test.limiter.spend(strict, "a")
    assert refused.retry_after_s == 0.021 < FRESH_S

    under_test.clock.now_s += refused.retry_after_s
    under_test.server.count = 0

    assert await under_test.spend(strict)


@pytest.mark.parametrize("rate", [2, WIDE.rate])
async def test_a_clock_that_was_set_back_makes_no_reply_last(
    under_test: LimiterUnderTest, rate: int
) -> None:
    """No caller is refused, nor admitted ahead, by a reply of a time that is still to come."""
    limit = Limit("strict", rate=rate, window_s=60)
    asked = 3 if rate == 2 else 1  # one that is refused, or one with room
    assert (rate > 2) == [await under_test.spend(limit) for _ in range(asked)][-1]
    runs = len(under_test.server.runs)

    under_test.clock.now_s -= 3600
    under_test.server.count = 0

    assert await under_test.spend(limit)
    assert runs + 1 == len(under_test.server.runs)


# --- several processes --------------------------------------------------------------------------


class Four(Census):
    """A census that was held: four processes."""

    def processes(self, now_s: float, for_s: float) -> int:  # noqa: ARG002 (of the census)
        return 4


class Processes:
    """Four limiters, each with a store of its own to one server."""

    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.server = Server()
        self.stores = [
            FakeStore(self.clock, {"sliding_window": self.server.spend, "census": _none})
            for _ in range(4)
        ]
        self.limiters = [
            RedisLimiter(store, LocalLimiter(self.clock), self.clock, Four())
            for store in self.stores
        ]


def _none(_keys: Sequence[str], _args: Sequence[str | int | bytes]) -> list[int]:
    return [0, 4]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # the process
            st.integers(0, 400),  # how many requests it gets at once
            st.booleans(),  # whether its store hangs from now on
            st.integers(0, 6),  # for how many passes of the loop
            st.sampled_from([0.0, 0.005, 0.05, FRESH_S]),
        ),
        max_size=40,
    ),
    st.sampled_from([100, 1000]),
)
async def test_several_processes_exceed_a_limit_by_a_small_part_at_most(
    steps: list[tuple[int, int, bool, int, float]], rate: int
) -> None:
    """However requests and replies fall; where a limit is closed without the store, by nothing."""
    for rule, most in (("local", rate + rate // 40), ("closed", rate)):
        limit = Limit("any", rate, 3600, rule)
        processes = Processes()
        asked: list[asyncio.Future[LimitState]] = []
        for which, number, hangs, ticks, later_s in steps:
            gate = processes.stores[which].gate
            (gate.clear if hangs else gate.set)()
            limiter = processes.limiters[which]
            asked += [asyncio.ensure_future(limiter.spend(limit, "a")) for _ in range(number)]
            for _ in range(ticks):
                await asyncio.sleep(0)
            processes.clock.now_s += later_s
        for store in processes.stores:
            store.gate.set()
        passed = sum(state.allowed for state in await asyncio.gather(*asked))
        for limiter in processes.limiters:
            await limiter.aclose()
        assert min(rate, len(asked)) <= passed <= most


async def test_a_process_that_was_alone_exceeds_a_limit_by_a_small_part_at_most() -> None:
    """Others that have come since it was counted wait for their charges, and use the limit up."""
    clock, server = FakeClock(1000.0), Server()
    store = FakeStore(
        clock, {"sliding_window": server.spend, "census": lambda _keys, _args: [1, 1]}
    )
    first = RedisLimiter(store, LocalLimiter(clock), clock, Census(clock))
    second = RedisLimiter(store, LocalLimiter(clock), clock)
    for _ in range(4):  # until it knows that it is alone, and what is left
        assert (await first.spend(THOUSAND, "a")).allowed
        await first.aclose()

    passed = 4 + sum([(await second.spend(LIKE_IT, "a")).allowed for _ in range(996)])
    ahead = sum([(await first.spend(THOUSAND, "a")).allowed for _ in range(996)])

    assert 1000 == passed
    assert 0 < ahead <= 1000 // 40
