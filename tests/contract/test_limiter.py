"""What the port `Limiter` promises, in this process and over fakeredis, Valkey and Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.core.limit import Limit, LimitState
from gateway.core.ports import Limiter, Store
from gateway.ratelimit import fixed_window, token_bucket
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.approximate import ApproximateLimiter
from gateway.ratelimit.fixed_window import FixedWindow
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.ratelimit.sliding_window import (
    SlidingWindow,
    settle,
    window_ms,
    window_number,
)
from gateway.ratelimit.token_bucket import TokenBucket
from gateway.store.connect import redis_client as connect
from gateway.store.kinds import server_of
from gateway.store.redis import RedisStore
from tests.contract.conftest import Guarded
from tests.fakes.redis_cluster import RedisCluster, cluster_store
from tests.fakes.redis_kinds import GUARDED
from tests.fakes.servers import REAL, TIMEOUT_S, RealServer, Servers, eventually, opened_client
from tests.fakes.upstash import REST, opened_store

YEARS_S = 10**8
"""A window that is longer than any test run."""

THREE = Limit("three", rate=3, window_s=YEARS_S)
WIDE = Limit("wide", rate=100, window_s=YEARS_S)
BRIEF = Limit("brief", rate=3, window_s=1)


@pytest.fixture(params=ALGORITHMS)
def three(request: pytest.FixtureRequest) -> Limit:
    """Three requests in a window that does not end, by each algorithm."""
    return replace(THREE, algorithm=request.param)


@pytest.fixture(params=["local", "fakeredis", "approximate", *REAL, *GUARDED, "cluster", REST])
async def limiter(
    request: pytest.FixtureRequest, servers: Servers, guarded: Guarded
) -> AsyncIterator[Limiter]:
    """Each kind of limiter, with nothing counted yet."""
    if request.param == "local":
        yield LocalLimiter()
        return
    is_approximate = request.param == "approximate"
    kind = "valkey" if is_approximate else request.param
    if kind in ("cluster", *GUARDED):
        store = await _empty(request, guarded)
        yield RedisLimiter(store, LocalLimiter())
        await store.aclose()
        return
    async with (
        opened_client(kind, servers) as client,
        opened_store(kind, client, servers) as shared,
    ):
        exact = RedisLimiter(shared, LocalLimiter())
        yield ApproximateLimiter(shared, LocalLimiter(), exact) if is_approximate else exact


async def _empty(request: pytest.FixtureRequest, guarded: Guarded) -> Store:
    """A store that is reached by more than a URL, with nothing in it."""
    if request.param == "cluster":
        cluster: RedisCluster = request.getfixturevalue("cluster")
        cluster.flush()
        return cluster_store(cluster)
    server = guarded(request.param)
    async with connect(server.operator_url, 2) as client:
        await client.flushall()
    return server_of(server.options).store(lambda: None)


@pytest.fixture
def shared(store: RedisStore) -> RedisLimiter:
    """A limiter over each kind of store."""
    return RedisLimiter(store, LocalLimiter())


def _told(states: list[LimitState]) -> list[tuple[bool, int]]:
    return [(state.allowed, state.remaining) for state in states]


async def test_the_rate_passes_and_no_more(limiter: Limiter, three: Limit) -> None:
    """One after another."""
    states = [await limiter.spend(three, "a") for _ in range(5)]

    assert [(True, 2), (True, 1), (True, 0), (False, 0), (False, 0)] == _told(states)


async def test_callers_of_one_moment_are_charged_in_the_store(shared: RedisLimiter) -> None:
    """Whichever slots of a cluster their keys have."""
    strict = replace(THREE, on_store_failure="closed")
    for left in (2, 1, 0):
        states = await asyncio.gather(*(shared.spend(strict, f"caller-{n}") for n in range(50)))
        assert [(True, left)] * 50 == _told(states)


async def test_what_needs_no_wait_is_counted_with_the_others(limiter: Limiter) -> None:
    """Where a request would have to wait, it is not charged before it does."""
    asked = [limiter.spend_now(WIDE, "a") or await limiter.spend(WIDE, "a") for _ in range(5)]

    assert [(True, WIDE.rate - 1)] == _told(asked[:1])
    assert all(state.allowed for state in asked)
    await asyncio.gather(*(limiter.spend(THREE, "a") for _ in range(3)))
    assert not (limiter.spend_now(THREE, "a") or await limiter.spend(THREE, "a")).allowed
    if isinstance(limiter, RedisLimiter | ApproximateLimiter):
        await limiter.aclose()
        counted = await RedisLimiter(limiter._store, LocalLimiter()).spend(WIDE, "a")
        assert WIDE.rate - 6 == counted.remaining


async def test_all_at_once_get_no_more(limiter: Limiter, three: Limit) -> None:
    """However many come together, the first are allowed."""
    states = await asyncio.gather(*(limiter.spend(three, "a") for _ in range(100)))

    assert [(True, 2), (True, 1), (True, 0)] + 97 * [(False, 0)] == _told(states)


async def test_callers_and_limits_are_counted_apart(limiter: Limiter, three: Limit) -> None:
    """What one has used up another still has."""
    await asyncio.gather(*(limiter.spend(three, "a") for _ in range(3)))
    other = replace(three, name="other")

    states = [await limiter.spend(three, "b"), await limiter.spend(other, "a")]

    assert [(True, 2), (True, 2)] == _told(states)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_who_waits_as_told_passes_however_often_it_asked(
    limiter: Limiter, algorithm: str
) -> None:
    """``retry_after_s`` is the time to wait, and asking in vain does not make it longer."""
    brief = replace(BRIEF, algorithm=algorithm)
    began_s = promised_s = 0.0
    while not promised_s:  # a machine that stalls lets all four pass, now and then
        began_s = time.monotonic()
        states = await asyncio.gather(*(limiter.spend(brief, "a") for _ in range(4)))
        promised_s = states[-1].retry_after_s

    async def passes() -> bool:
        return (await limiter.spend(brief, "a")).allowed

    await eventually(passes, within_s=promised_s + 10)

    assert 0 < promised_s <= 2
    assert time.monotonic() - began_s >= promised_s - 0.01  # clocks that are read in whole ms


async def test_a_window_says_when_it_ends(limiter: Limiter) -> None:
    """It is the grid's end of it, counted from the Unix epoch."""
    state = await limiter.spend(THREE, "a")

    assert abs(time.time() + state.reset_s - (time.time() // YEARS_S + 1) * YEARS_S) < 5


async def test_gateways_share_what_they_count(
    shared: RedisLimiter, store: RedisStore, three: Limit
) -> None:
    """Two of them allow no more than one."""
    other = RedisLimiter(store, LocalLimiter())

    states = [await which.spend(three, "a") for which in (shared, other, shared, other)]

    assert [(True, 2), (True, 1), (True, 0), (False, 0)] == _told(states)


async def test_counters_are_named_by_rule_window_and_caller_and_end_by_themselves(
    shared: RedisLimiter, client: Redis
) -> None:
    """Nothing else is left behind, and that for two windows."""
    limit = Limit("api", rate=3, window_s=3600)
    await asyncio.gather(*(shared.spend(limit, "203.0.113.9") for _ in range(2)))

    [key] = await client.keys()
    window = window_number(limit, int(time.time() * 1000))
    assert key in [f"gw:limit:api:{n}:{{203.0.113.9}}".encode() for n in (window, window - 1)]
    assert b"2" == await client.get(key)
    assert 7_190_000 < await client.pttl(key) <= 7_200_000


async def test_limits_hold_while_the_server_is_away_and_are_shared_again_after(
    mortal_server: RealServer,
) -> None:
    """Its own process counts on meanwhile; no request has to wait or is refused for that alone."""
    store = RedisStore(connect(mortal_server.url, TIMEOUT_S), "", TIMEOUT_S)
    limiter = RedisLimiter(store, LocalLimiter())
    await limiter.spend(THREE, "a")
    mortal_server.kill()

    alone = [await limiter.spend(THREE, "a") for _ in range(4)]
    mortal_server.start()

    assert [True, True, False, False] == [state.allowed for state in alone]

    async def is_shared_again() -> bool:
        return (await limiter.spend(THREE, "a")).allowed

    await eventually(is_shared_again, within_s=20)
    await limiter.aclose()
    await store.aclose()


# --- the script and the policy ------------------------------------------------------------------


@pytest.fixture(scope="session", params=["fakeredis", *REAL])
def blocking_client(request: pytest.FixtureRequest, servers: Servers) -> redis.Redis:
    """Hypothesis knows no coroutines."""
    if request.param == "fakeredis":
        fake: redis.Redis = fakeredis.FakeRedis()
        return fake
    return redis.Redis(unix_socket_path=servers(request.param).url.removeprefix("unix://"))


limits_by_windows = st.builds(
    Limit, name=st.just("any"), rate=st.integers(1, 10**6), window_s=st.integers(1, 10**6)
)
windows_off = st.sampled_from([-2, -1, 0, 1, 2])
"""How far the client's clock is from the server's."""

charges = st.lists(
    st.tuples(
        limits_by_windows,
        windows_off,
        st.lists(
            st.tuples(
                st.integers(0, 10**6),  # the current count of a caller
                st.integers(0, 10**6),  # the previous count
                st.integers(1, 1000),  # requests asked for
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(charges)
def test_the_script_settles_as_the_policy_does(
    blocking_client: redis.Redis,
    charges: list[tuple[Limit, int, list[tuple[int, int, int]]]],
) -> None:
    """Whatever was counted before, and wherever in the window the server's clock stands."""
    now_ms = _now_ms(blocking_client)
    keys: list[str] = []
    args: list[int] = []
    with blocking_client.pipeline() as seeding:
        for i, (limit, off, callers) in enumerate(charges):
            window = window_number(limit, now_ms)
            for j, (current, previous, _) in enumerate(callers):
                seeding.set(f"limit:any:{window}:{{{i}-{j}}}", current, px=60_000)
                seeding.set(f"limit:any:{window - 1}:{{{i}-{j}}}", previous, px=60_000)
                seeding.delete(f"limit:any:{window + 1}:{{{i}-{j}}}")
            names = [f"{i}-{j}" for j in range(len(callers))]
            keys += [
                f"{key}{{{name}}}"
                for name in names
                for key in SlidingWindow().names(limit, (window + off) * window_ms(limit))
            ]
            asked = [number for _, _, number in callers]
            args += [limit.rate, window_ms(limit), window + off, len(asked), *asked]
        seeding.execute()

    reply = blocking_client.eval(SlidingWindow.script, len(keys), *keys, *args)

    then_ms = reply[0]
    expected = [then_ms]
    for limit, off, callers in charges:
        window = window_number(limit, now_ms)
        passed = window_number(limit, then_ms) - window  # 1 if a border came in between
        for current, previous, number in callers:
            if passed - off not in (0, 1):
                expected += [-1, 0, 0]
                continue
            counted = (0, current) if passed else (current, previous)
            allowed = settle(limit, *counted, number, then_ms)
            expected += [allowed, counted[0] + allowed, counted[1]]
    assert expected == reply


windows_of_callers = st.lists(
    st.tuples(
        limits_by_windows,
        windows_off,
        st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 1000)), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(windows_of_callers)
def test_the_script_of_fixed_windows_settles_as_the_policy_does(
    blocking_client: redis.Redis,
    charges: list[tuple[Limit, int, list[tuple[int, int]]]],
) -> None:
    """Whatever was counted before, and wherever the server's clock stands."""
    now_ms = _now_ms(blocking_client)
    keys: list[str] = []
    args: list[int] = []
    with blocking_client.pipeline() as seeding:
        for i, (limit, off, callers) in enumerate(charges):
            window = window_number(limit, now_ms)
            names = [f"{i}-{j}" for j in range(len(callers))]
            for name, (count, _) in zip(names, callers, strict=True):
                seeding.set(f"limit:any:{window}:{{{name}}}", count, px=60_000)
                seeding.delete(f"limit:any:{window + 1}:{{{name}}}")
            heads = fixed_window.counters("any", window + off)
            keys += [f"{head}{{{name}}}" for name in names for head in heads]
            args += [limit.rate, window_ms(limit), window + off, len(callers)]
            args += [asked for _, asked in callers]
        seeding.execute()

    reply = blocking_client.eval(FixedWindow.script, len(keys), *keys, *args)

    expected = [reply[0]]
    for limit, off, callers in charges:
        passed = window_number(limit, reply[0]) - window_number(limit, now_ms)
        for count, asked in callers:
            if passed - off not in (0, 1):
                expected += [-1, 0]
                continue
            counted = 0 if passed else count
            allowed = fixed_window.settle(limit, counted, asked)
            expected += [allowed, counted + allowed]
    assert expected == reply


buckets_of_callers = st.lists(
    st.tuples(
        st.builds(
            Limit,
            name=st.just("any"),
            rate=st.integers(1, 10**4),
            window_s=st.integers(1, 10**5),
            burst=st.none() | st.integers(1, 10**4),
        ),
        st.lists(
            st.tuples(
                st.none() | st.integers(0, 10**12),  # the debt
                st.integers(-1000, 10**6),  # how many ms ago it was that
                st.integers(1, 1000),  # requests asked for
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(buckets_of_callers)
def test_the_script_of_buckets_settles_as_the_policy_does(
    blocking_client: redis.Redis,
    charges: list[tuple[Limit, list[tuple[int | None, int, int]]]],
) -> None:
    """Whatever the bucket lacked, and whenever that was; it is kept until it would be full."""
    now_ms = _now_ms(blocking_client)
    keys: list[str] = []
    args: list[int] = []
    with blocking_client.pipeline() as seeding:
        for i, (limit, callers) in enumerate(charges):
            names = [f"{i}-{j}" for j in range(len(callers))]
            [head] = TokenBucket().names(limit, now_ms)
            own = [f"{head}{{{name}}}" for name in names]
            for key, (debt, ago_ms, _) in zip(own, callers, strict=True):
                seeding.delete(key)
                if debt is not None:
                    seeding.set(key, f"{debt} {now_ms - ago_ms}", px=60_000)
            keys += own
            args += TokenBucket().args(limit, [asked for _, _, asked in callers], now_ms)
        seeding.execute()

    reply = blocking_client.eval(TokenBucket.script, len(keys), *keys, *args)

    expected = [reply[0]]
    for limit, callers in charges:
        for debt, ago_ms, asked in callers:
            known = None if debt is None else (debt, now_ms - ago_ms)
            owed = token_bucket.debt_at(limit, known, reply[0])
            allowed = token_bucket.settle(limit, owed, asked)
            expected += [allowed, owed + allowed * window_ms(limit)]
    assert expected == reply


async def test_a_bucket_is_kept_until_it_would_be_full(shared: RedisLimiter, client: Redis) -> None:
    """Then it says nothing that its absence does not say."""
    limit = Limit("api", rate=60, window_s=3600, algorithm="token-bucket", burst=5)
    await asyncio.gather(*(shared.spend(limit, "203.0.113.9") for _ in range(2)))

    assert [b"gw:limit:api:bucket:{203.0.113.9}"] == await client.keys()
    assert 110_000 < await client.pttl("gw:limit:api:bucket:{203.0.113.9}") <= 120_000


def _now_ms(client: redis.Redis) -> int:
    seconds, micros = client.time()
    now_ms: int = seconds * 1000 + micros // 1000
    return now_ms
