"""What the port `Leases` promises, over fakeredis, Valkey and Redis."""

import asyncio
import time
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.core.limit import Limit
from gateway.ratelimit import concurrency
from gateway.ratelimit.leases import RedisLeases
from gateway.store.connect import redis_client as connect
from gateway.store.redis import RedisStore
from tests.fakes.servers import REAL, TIMEOUT_S, RealServer, Servers, eventually

THREE = Limit("three", 3, 60, algorithm="concurrency")
BRIEF = Limit("brief", 1, 1, algorithm="concurrency")


async def test_as_many_as_allowed_are_under_way_over_all_gateways(store: RedisStore) -> None:
    """However many come together; one that ends at one gateway makes room at another."""
    one, other = RedisLeases(store), RedisLeases(store)
    taken = await asyncio.gather(*(which.take(THREE, "a") for which in (one, other) * 5))
    held = [each for each in taken if each.state.allowed]
    assert 3 == len(held)
    assert (await one.take(THREE, "b")).state.allowed

    held[0].release()
    await one.aclose()
    await other.aclose()

    assert [True, False] == [
        (await leases.take(THREE, "a")).state.allowed
        for leases in (RedisLeases(store), RedisLeases(store))
    ]


async def test_leases_are_one_key_that_ends_by_itself(store: RedisStore, client: Redis) -> None:
    """Scored by the store's clock; with the last lease the key goes."""
    leases = RedisLeases(store)
    lease = await leases.take(THREE, "203.0.113.9")

    assert [b"gw:limit:three:leases:{203.0.113.9}"] == await client.keys()
    held: Any = await client.zrange("gw:limit:three:leases:{203.0.113.9}", 0, -1, withscores=True)
    [[_, ends_ms]] = held
    assert abs(ends_ms - (time.time() + 60) * 1000) < 5000
    assert 55_000 < await client.pttl("gw:limit:three:leases:{203.0.113.9}") <= 60_000
    lease.release()
    await leases.aclose()
    assert [] == await client.keys()


async def test_a_lease_that_is_not_renewed_runs_out(store: RedisStore) -> None:
    """Then another request takes its place."""
    dead, living = RedisLeases(store), RedisLeases(store)
    assert (await dead.take(BRIEF, "a")).state.allowed
    await asyncio.sleep(0)
    assert dead._timer is not None
    dead._timer.cancel()  # as after kill -9

    async def is_free() -> bool:
        return (await living.take(BRIEF, "a")).state.allowed

    await eventually(is_free, within_s=10)


async def test_leases_are_shared_again_when_the_server_is_back(mortal_server: RealServer) -> None:
    """What began meanwhile counts for others, though the server has forgotten everything."""
    store = RedisStore(connect(mortal_server.url, TIMEOUT_S), "", TIMEOUT_S)
    one, other = RedisLeases(store), RedisLeases(store)
    limit = Limit("brief", 1, 2, algorithm="concurrency")
    lease = await one.take(limit, "a")
    mortal_server.restart()

    async def is_shared_again() -> bool:
        another = await other.take(limit, "a")
        another.release()
        return not another.state.allowed

    await eventually(is_shared_again, within_s=20)
    lease.release()
    await one.aclose()
    await other.aclose()
    await store.aclose()


@pytest.fixture(scope="session", params=["fakeredis", *REAL])
def blocking_client(request: pytest.FixtureRequest, servers: Servers) -> redis.Redis:
    """Hypothesis knows no coroutines."""
    if request.param == "fakeredis":
        fake: redis.Redis = fakeredis.FakeRedis()
        return fake
    return redis.Redis(unix_socket_path=servers(request.param).url.removeprefix("unix://"))


ids = st.sets(st.sampled_from("abcdefgh"))


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(most=st.integers(1, 6), known=ids, over=ids, ended=ids, renewed=ids, taken=ids)
def test_the_script_grants_as_the_policy_does(
    blocking_client: redis.Redis,
    most: int,
    known: set[str],
    over: set[str],
    ended: set[str],
    renewed: set[str],
    taken: set[str],
) -> None:
    """Whatever is held, over, ended or renewed; the first of those that ask are granted."""
    seconds, micros = blocking_client.time()
    now_ms, key = seconds * 1000 + micros // 1000, "leases:{any}"
    blocking_client.delete(key)
    for each in known:
        blocking_client.zadd(key, {each: now_ms - 1 if each in over else now_ms + 60_000})
    asked = sorted(f"new-{each}" for each in taken)
    args: list[int | str] = [
        most,
        60_000,
        len(ended),
        len(renewed),
        *sorted(ended),
        *sorted(renewed),
        *asked,
    ]

    reply: list[int] = blocking_client.eval(concurrency.SCRIPT, 1, key, *args)
    kept: list[bytes] = blocking_client.zrange(key, 0, -1)  # type: ignore[assignment]

    left = (known - over - ended) | renewed
    granted = concurrency.grant(Limit("any", most, 60), len(left), len(asked))
    assert [granted, len(left) + granted] == reply[1:]
    assert left | set(asked[:granted]) == {each.decode() for each in kept}
