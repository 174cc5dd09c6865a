"""Limits that are looked at, over a real store."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState, Spend
from gateway.explain.peek import PeekingLeases, PeekingLimiter
from gateway.explain.read_only import UnreachableStore
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.leases import RedisLeases
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.store.redis import RedisStore
from tests.fakes import servers

FEW = Limit("few", 3, 86_400)
AT_ONCE = Limit("at-once", 2, 60, algorithm="concurrency")
DOWN = UnreachableStore("down")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with servers.valkey() as server:
        yield server.url


@pytest.fixture
async def client(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def store(client: Redis) -> RedisStore:
    return RedisStore(client, "", 5.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_peek_is_what_a_charge_would_be_answered(
    store: RedisStore, client: Redis, algorithm: str
) -> None:
    """However often it is asked; and it leaves the counts as they are."""
    limit = replace(FEW, algorithm=algorithm)
    limiter, peeking = RedisLimiter(store, LocalLimiter()), PeekingLimiter(store)
    peeks: list[LimitState] = []
    for _ in range(4):
        before = {key: await client.dump(key) for key in await client.keys()}
        peeks = [await peeking.spend(limit, "a") for _ in range(2)]
        assert before == {key: await client.dump(key) for key in await client.keys()}
        charged = await limiter.spend(limit, "a")
        for peek in peeks:
            assert (charged.allowed, charged.remaining) == (peek.allowed, peek.remaining)
    assert peeks[0].retry_after_s > 0


async def test_a_request_that_costs_more_than_is_left_is_refused(store: RedisStore) -> None:
    """It has to wait, though a cheaper one would not."""
    peeking = PeekingLimiter(store)
    states = await peeking.spend_all([Spend(FEW, "a", 2), Spend(FEW, "a", 4)])
    assert [(True, 1), (False, 3)] == [(state.allowed, state.remaining) for state in states]
    assert states[1].retry_after_s > 0
    assert peeking.spend_now(FEW, "a") is None
    assert peeking.spend_all_now([Spend(FEW, "a")]) is None
    await peeking.settle(Spend(FEW, "a", 3))
    assert 2 == (await peeking.spend(FEW, "a")).remaining


async def test_a_place_is_looked_for_and_not_taken(store: RedisStore, client: Redis) -> None:
    """Requests under way of live gateways count."""
    peeking, leases = PeekingLeases(store), RedisLeases(store)
    for remaining in (1, 0):
        lease = await peeking.take(AT_ONCE, "a")
        assert (True, remaining) == (lease.state.allowed, lease.state.remaining)
        lease.release()
        await leases.take(AT_ONCE, "a")
    before = await client.dump("limit:at-once:leases:{a}")
    assert not (await peeking.take(AT_ONCE, "a")).state.allowed
    assert before is not None
    assert before == await client.dump("limit:at-once:leases:{a}")
    await leases.aclose()


@pytest.mark.parametrize("failure", ["local", "open"])
async def test_without_the_store_the_count_is_not_known(failure: str) -> None:
    """The request passes, as at a gateway that has counted nothing yet."""
    limit = replace(FEW, on_store_failure=failure)
    expected = LimitState(limit, True, 2, -1.0, 0.0)
    assert expected == await PeekingLimiter(DOWN).spend(limit, "a")
    assert expected == (await PeekingLeases(DOWN).take(limit, "a")).state


async def test_a_limit_that_fails_closed_refuses_without_the_store() -> None:
    """As it does at a gateway."""
    limit = replace(FEW, on_store_failure="closed")
    with pytest.raises(StoreUnavailable):
        await PeekingLimiter(DOWN).spend(limit, "a")
    with pytest.raises(StoreUnavailable):
        await PeekingLeases(DOWN).take(limit, "a")
