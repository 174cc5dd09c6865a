"""Callers that are far from their limit go ahead, and are charged together soon after."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limit import Limit
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import FRESH_S, MAX_CALLERS, RedisLimiter
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

WIDE = Limit("wide", rate=100, window_s=60)


class Server:
    """A store that counts in one window, and says how many requests each run was for."""

    def __init__(self) -> None:
        self.count = 0
        self.runs: list[int] = []
        self.now_ms = 1_000_000

    def spend(self, _: Sequence[str], args: Sequence[str | int | bytes]) -> list[int]:
        rate, _length, asked, _window = (int(arg) for arg in args)
        allowed = max(0, min(asked, rate - self.count))
        self.count += allowed
        self.runs.append(asked)
        return [self.now_ms, allowed, self.count, 0]


class House:
    """A limiter and what is around it."""

    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.server = Server()
        self.store = FakeStore(self.clock, {"sliding_window": self.server.spend})
        self.limiter = RedisLimiter(self.store, LocalLimiter(self.clock), self.clock)

    async def spend(self, limit: Limit = WIDE) -> bool:
        return (await self.limiter.spend(limit, "a")).allowed


@pytest.fixture
def house() -> House:
    return House()


async def test_whoever_is_far_from_its_limit_does_not_wait(house: House) -> None:
    """The first request asks the store; those after it are charged in one run."""
    assert [True] * 11 == [await house.spend() for _ in range(11)]
    assert [1] == house.server.runs

    await house.limiter.aclose()

    assert [1, 10] == house.server.runs


async def test_what_went_ahead_is_charged_by_itself(house: House) -> None:
    """A timer sees to it, whoever comes or not."""
    await house.spend()
    await house.spend()
    async with asyncio.timeout(5):
        while house.server.count < 2:
            await asyncio.sleep(0)


async def test_half_of_a_limit_is_never_taken_ahead(house: House) -> None:
    """With half of it gone, each request waits for its own answer."""
    for _ in range(60):
        await house.spend()

    assert [1, 50] == house.server.runs[:2]
    assert [1] * 9 == house.server.runs[2:]


async def test_a_reply_is_believed_for_a_moment_only(house: House) -> None:
    """What other gateways charged meanwhile is not known here."""
    await house.spend()
    house.clock.now_s += FRESH_S
    await house.spend()

    assert [1, 1] == house.server.runs


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(Limit("sign-in", 15, 60), id="a-small-limit"),
        pytest.param(Limit("strict", 100, 60, "closed"), id="one-that-is-closed-without-the-store"),
    ],
)
async def test_exact_limits_always_wait(house: House, limit: Limit) -> None:
    """Where every request counts, each one asks."""
    for _ in range(5):
        await house.spend(limit)

    assert [1] * 5 == house.server.runs


async def test_nobody_goes_ahead_of_a_store_that_failed(house: House) -> None:
    """What went ahead is charged here then, and who comes next waits to hear."""
    await house.spend()
    await house.spend()
    house.store.is_down = True
    await house.limiter.aclose()

    state = await house.limiter.spend(WIDE, "a")

    assert 98 == state.remaining


async def test_what_comes_while_the_store_is_asked_counts(house: House) -> None:
    """Its answer does not know of them yet, so they are taken off it."""
    await house.spend()
    for _ in range(10):
        await house.spend()
    house.store.gate.clear()
    closing = asyncio.ensure_future(house.limiter.aclose())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _ in range(20):
        await house.spend()
    house.store.gate.set()
    await closing

    [(_, headroom)] = house.limiter._headroom.items()
    assert 100 - 11 - 50 - 20 == headroom.room


async def test_headroom_is_bounded(house: House) -> None:
    """Ever new callers neither fill the memory nor end the headroom of all others."""
    for number in range(MAX_CALLERS):
        house.limiter._headroom.put((number, "x"), None)  # type: ignore[arg-type]
    await house.spend()

    assert MAX_CALLERS == len(house.limiter._headroom)
    kept = [key for key, _ in house.limiter._headroom.items()]
    assert [(1, "x"), (MAX_CALLERS - 1, "x")] == [kept[0], kept[-2]]


@given(st.lists(st.booleans(), max_size=300), st.integers(20, 120))
async def test_one_gateway_never_lets_more_pass(charges_now: list[bool], rate: int) -> None:
    """However requests and runs follow each other, the rate holds."""
    house = House()
    limit = Limit("any", rate, 60)
    passed = 0
    for charge_now in charges_now:
        passed += await house.spend(limit)
        if charge_now:
            await house.limiter.aclose()
    await house.limiter.aclose()

    assert min(rate, len(charges_now)) == passed == house.server.count


async def test_whoever_is_over_its_limit_is_refused_without_asking(house: House) -> None:
    """A flood costs the store one run for each moment; nothing of it is charged."""
    strict = Limit("strict", rate=2, window_s=60)
    assert [True, True] + [False] * 50 == [await house.spend(strict) for _ in range(52)]
    assert [1, 1] == house.server.runs

    house.clock.now_s += FRESH_S

    assert [False] * 50 == [await house.spend(strict) for _ in range(50)]
    assert [1, 1, 1] == house.server.runs


async def test_a_refusal_is_forgotten_when_the_limit_opens(house: House) -> None:
    """Nobody is refused for longer than was said."""
    house.server.now_ms = 1_019_980  # the window of 60 s ends in 20 ms
    strict = Limit("strict", rate=2, window_s=60)
    assert [True, True, False] == [await house.spend(strict) for _ in range(3)]
    refused = await house.limiter.spend(strict, "a")
    assert refused.retry_after_s == 0.021 < FRESH_S

    house.clock.now_s += refused.retry_after_s
    house.server.count = 0

    assert await house.spend(strict)
