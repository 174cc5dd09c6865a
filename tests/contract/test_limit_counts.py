"""Counts that operators read and set back, over fakeredis, Valkey and Redis."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.counts import StoredCounts
from gateway.ratelimit.leases import RedisLeases
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.store.redis import RedisStore

THREE = Limit("three", rate=3, window_s=10**8)
CALLER = "203.0.113.9"


@pytest.fixture(params=ALGORITHMS)
def three(request: pytest.FixtureRequest) -> Limit:
    """Three requests in a window that does not end, by each algorithm."""
    return replace(THREE, algorithm=request.param)


async def test_nothing_is_charged_by_looking(
    store: RedisStore, client: Redis, three: Limit
) -> None:
    """The state says what is left, and how the next request is answered."""
    limiter, counts = RedisLimiter(store, LocalLimiter()), StoredCounts(store)
    before = await counts.state(three, CALLER)
    assert (True, 3) == (before.allowed, before.remaining)
    assert [] == await client.keys()
    told = [before]
    for left in (2, 1, 0):
        await limiter.spend(three, CALLER)
        told = [await counts.state(three, CALLER) for _ in range(2)]
        assert [(left > 0, left)] * 2 == [(state.allowed, state.remaining) for state in told]
    refused = await limiter.spend(three, CALLER)
    assert abs(refused.retry_after_s - told[0].retry_after_s) < 10
    assert told[0].retry_after_s > 0


async def test_a_caller_begins_from_zero_after_a_reset(
    store: RedisStore, client: Redis, three: Limit
) -> None:
    """At a gateway that had refused it, once that has heard of it; others are counted on."""
    limiter, counts = RedisLimiter(store, LocalLimiter()), StoredCounts(store)
    for caller in (CALLER, "other"):
        await asyncio.gather(*(limiter.spend(three, caller) for _ in range(4)))
    assert await counts.reset(three, CALLER)
    limiter.forget(f"three {CALLER}")
    assert (True, 2) == (await limiter.spend(three, CALLER))[1:3]
    assert not (await limiter.spend(three, "other")).allowed
    assert await counts.reset(three, CALLER)
    assert not await counts.reset(three, CALLER)
    assert all(b"{other}" in key for key in await client.keys())


async def test_a_clock_that_is_far_off_is_corrected_by_that_of_the_store(
    store: RedisStore, three: Limit
) -> None:
    """The windows are those of the store's clock, whatever the operator's machine says."""
    brief = replace(three, window_s=1000)
    limiter = RedisLimiter(store, LocalLimiter())
    await limiter.spend(brief, CALLER)
    counts = StoredCounts(store, lambda: 1_000_000_000.0)
    assert 2 == (await counts.state(brief, CALLER)).remaining
    assert await counts.reset(brief, CALLER)


async def test_a_clock_that_jumps_is_told(client: Redis) -> None:
    """A store that names another window each time is of no use."""

    class Jumping(RedisStore):
        async def run(self, *_: object) -> object:  # type: ignore[override]
            return [1, -1, 0, 0]

    with pytest.raises(StoreUnavailable, match="jumps"):
        await StoredCounts(Jumping(client, "", 1)).state(THREE, CALLER)


async def test_requests_under_way_are_shown_and_set_back(store: RedisStore, client: Redis) -> None:
    """Looking takes no lease; after a reset others may be under way, until leases are renewed."""
    two = Limit("two", 2, 60, algorithm="concurrency")
    leases, counts = RedisLeases(store), StoredCounts(store)
    told = [await counts.state(two, CALLER)]
    assert [] == await client.keys()
    for _ in range(2):
        await leases.take(two, CALLER)
        told.append(await counts.state(two, CALLER))
    assert [(True, 2, 0.0), (True, 1, 0.0), (False, 0, 1.0)] == [
        (state.allowed, state.remaining, state.retry_after_s) for state in told
    ]
    assert await counts.reset(two, CALLER)
    assert not await counts.reset(two, CALLER)
    assert (await leases.take(two, CALLER)).state.allowed
    await leases.aclose()
