"""Rates of single callers, as they are found in the store."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.limit import Limit
from gateway.ratelimit.override_store import FRESH_S, RETRY_S, StoredOverrides
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

API, OTHER = Limit("api", 300, 60), Limit("other", 300, 60)
FOREVER_MS = 2**53


class World:
    """A store with rates, and what finds them."""

    def __init__(self, capacity: int = 100) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.overrides = StoredOverrides(self.store, self.clock, capacity)

    def write(self, caller: str, text: str, limit: str = "api") -> None:
        self.store.values[f"limit-override:{limit}:{caller}"] = text.encode(), FOREVER_MS

    async def rate(self, caller: str, limit: Limit = API) -> int:
        return (await self.overrides.find(limit, caller)).rate


@pytest.fixture
def world() -> World:
    return World()


async def test_a_caller_has_the_rate_that_is_written_for_it(world: World) -> None:
    """By that limit alone; other callers have the configured one, and the very same limit."""
    world.write("a", "500/minute")
    assert [500, 300, 300] == [
        await world.rate("a"), await world.rate("b"), await world.rate("a", OTHER)
    ]  # fmt: skip
    assert API is await world.overrides.find(API, "b")


async def test_callers_of_one_rate_share_a_limit(world: World) -> None:
    """The limiter distinguishes limits by identity: it groups what it charges by them."""
    for caller in "ab":
        world.write(caller, "500/minute")
    variant = await world.overrides.find(API, "a")
    world.overrides.forget_all()
    assert variant is await world.overrides.find(API, "b")
    assert variant is await world.overrides.find(API, "a")


async def test_a_look_up_is_used_for_a_while(world: World) -> None:
    """One without a result, too."""
    assert world.overrides.known(API, "a") is None
    assert [300, 300] == [await world.rate("a"), await world.rate("a")]
    world.write("a", "500/minute")
    assert API is world.overrides.known(API, "a")
    assert 1 == len(world.store.asked)
    world.clock.now_s += FRESH_S
    assert world.overrides.known(API, "a") is None
    assert 500 == await world.rate("a")


async def test_a_clock_that_was_set_back_makes_nothing_last(world: World) -> None:
    """Else a rate would be used until the clock has caught up."""
    await world.rate("a")
    world.clock.now_s -= 3600
    assert world.overrides.known(API, "a") is None


async def test_what_was_set_is_found_at_once(world: World) -> None:
    """The message names limit and caller; a message that may have been missed names none."""
    await world.rate("a")
    await world.rate("b")
    world.write("a", "500/minute")
    world.overrides.forget("other a")
    assert 300 == await world.rate("a")
    world.overrides.forget("api a")
    assert 500 == await world.rate("a")
    assert API is world.overrides.known(API, "b")
    world.overrides.forget_all()
    assert world.overrides.known(API, "b") is None


async def test_what_was_set_is_found_for_all_limits_of_a_name(world: World) -> None:
    """The login limit is two: one of addresses, and one of contacts."""
    twin = replace(API, rate=5)
    assert [300, 5] == [await world.rate("a"), await world.rate("a", twin)]
    world.write("a", "500/minute")
    world.overrides.forget("api a")
    assert [500, 500] == [await world.rate("a"), await world.rate("a", twin)]


async def test_a_look_up_under_way_when_a_rate_is_set_is_not_cached(world: World) -> None:
    """It may have read the store before."""
    world.store.gate.clear()
    first = asyncio.ensure_future(world.rate("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    world.write("a", "500/minute")
    world.overrides.forget("api a")
    world.store.gate.set()
    assert 300 == await first
    assert 500 == await world.rate("a")


async def test_requests_of_one_moment_share_a_look_up(world: World) -> None:
    """However many there are."""
    assert [300] * 5 == await asyncio.gather(*(world.rate("a") for _ in range(5)))
    assert 1 == len(world.store.asked)
    await world.overrides.aclose()


async def test_while_the_store_is_down_the_last_rate_holds(world: World) -> None:
    """And the configured one for others; it is asked again soon, but not by each request."""
    world.write("a", "500/minute")
    await world.rate("a")
    world.clock.now_s += FRESH_S
    world.store.is_down = True
    world.store.asked.clear()
    assert [500, 300, 500, 300] == [await world.rate(caller) for caller in "abab"]
    assert 2 == len(world.store.asked)
    world.store.is_down = False
    world.write("b", "700/minute")
    world.clock.now_s += RETRY_S
    assert 700 == await world.rate("b")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "expected a rate"),
        ("500/hour", "the window is not that of the limit"),
        ("5/minute burst=7", "a burst needs"),
        ("\xff", "not text"),
    ],
)
async def test_what_cannot_be_used_is_ignored_and_told_once_a_minute(
    world: World, caplog: pytest.LogCaptureFixture, text: str, told: str
) -> None:
    """The log names no caller, who may be a person."""
    for caller in ("ada@example.com", "bob@example.com"):
        world.write(caller, text)
        assert 300 == await world.rate(caller)
    [line] = caplog.messages
    assert line.startswith(f"an override of the limit api is ignored: {told}")
    assert "@" not in line
    world.clock.now_s += 60
    await world.rate("ada@example.com")
    assert 2 == len(caplog.messages)


async def test_rates_are_cached_of_so_many_callers() -> None:
    """The one that was unused for longest is looked up again."""
    world = World(capacity=2)
    for caller in "abc":
        await world.rate(caller)
    assert [None, API, API] == [world.overrides.known(API, caller) for caller in "abc"]
