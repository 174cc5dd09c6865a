"""The stores that every contract holds for."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import cast

import pytest
from redis.asyncio import Redis

from gateway.store.connect import redis_client
from gateway.store.kinds import server_of
from gateway.store.redis import RedisStore
from tests.fakes.redis_cluster import (
    ClusterClient,
    RedisCluster,
    cluster_client,
    cluster_store,
    redis_cluster,
)
from tests.fakes.redis_kinds import GUARDED, SecureRedis, SentinelGroup
from tests.fakes.servers import REAL, TIMEOUT_S, RealServer, Servers, opened_client
from tests.fakes.upstash import REST, opened_store


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One server of a kind for all tests, started when it is first asked for."""
    running: dict[str, RealServer] = {}
    with ExitStack() as until_the_end:

        def server(kind: str) -> RealServer:
            if kind not in running:
                running[kind] = until_the_end.enter_context(REAL[kind]())
            return running[kind]

        yield server


Guarded = Callable[[str], SecureRedis | SentinelGroup]
"""The running server or group of a kind that is reached by more than a URL."""


@pytest.fixture(scope="session")
def guarded() -> Iterator[Guarded]:
    """One server or group of a kind for all tests, started when it is first asked for."""
    running: dict[str, SecureRedis | SentinelGroup] = {}
    with ExitStack() as until_the_end:

        def server(kind: str) -> SecureRedis | SentinelGroup:
            if kind not in running:
                running[kind] = until_the_end.enter_context(GUARDED[kind]())
            return running[kind]

        yield server


@pytest.fixture(params=REAL)
def mortal_server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A server for this test alone, which may do to it what it likes."""
    with REAL[request.param]() as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisCluster]:
    """One Redis Cluster for all tests, started when it is first asked for."""
    with redis_cluster() as running:
        yield running


@pytest.fixture(params=["fakeredis", *REAL, *GUARDED, "cluster", REST])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of store."""
    return str(request.param)


@pytest.fixture
async def client(
    store_kind: str, servers: Servers, guarded: Guarded, request: pytest.FixtureRequest
) -> AsyncIterator[Redis]:
    """A client of an empty store of each kind, to look behind the gateway's back."""
    if store_kind == "cluster":
        async with cluster_client(request.getfixturevalue("cluster")) as of_cluster:
            yield of_cluster
    elif store_kind in GUARDED:
        async with redis_client(guarded(store_kind).operator_url, TIMEOUT_S) as client:
            await client.flushall()
            yield client
    else:
        async with opened_client(store_kind, servers) as client:
            yield client


@pytest.fixture(params=REAL)
async def real_client(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Redis]:
    """A client of an empty real server of each kind."""
    async with opened_client(request.param, servers) as client:
        yield client


@pytest.fixture
async def store(
    store_kind: str, client: Redis, servers: Servers, guarded: Guarded
) -> AsyncIterator[RedisStore]:
    """A store of each kind, under the prefix ``gw:``; its methods are those of `RedisStore`."""
    if isinstance(client, ClusterClient):
        opened = cluster_store(client.cluster)
    elif store_kind in GUARDED:
        opened = cast("RedisStore", server_of(guarded(store_kind).options).store(lambda: None))
    else:
        async with opened_store(store_kind, client, servers) as made:
            yield made
        return
    yield opened
    await opened.aclose()


@pytest.fixture
async def real_store(real_client: Redis) -> AsyncIterator[RedisStore]:
    """A store on a real server of each kind, under the prefix ``gw:``."""
    opened = RedisStore(real_client, "gw:", TIMEOUT_S)
    yield opened
    await opened.aclose()
