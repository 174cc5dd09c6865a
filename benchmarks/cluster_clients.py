"""
CPU time of a GET on a Redis Cluster, by the gateway's store and by other clients.

``python -m benchmarks.cluster_clients``. Starts a cluster of six nodes; needs ``redis-server``.
valkey-glide is measured where it is installed; it is no dependency.
"""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from statistics import median
from typing import Any

import uvloop
from redis.asyncio.cluster import ClusterNode, RedisCluster

from gateway.core.ports import Store
from gateway.store.connect import redis_client
from gateway.store.kinds import server_of
from gateway.store.redis import RedisStore
from gateway.store.server import StoreOptions
from tests.fakes import redis_cluster, servers

IN_FLIGHT = 32
GETS = 20_000
ROUNDS = 7
KEYS = 1000
TIMEOUT_S = 5.0

Get = Callable[[str], Awaitable[object]]


@asynccontextmanager
async def _our_store(cluster: redis_cluster.RedisCluster) -> AsyncIterator[Get]:
    store = server_of(StoreOptions(cluster.url, timeout_s=TIMEOUT_S)).store(lambda: None)
    yield store.get
    await store.aclose()


@asynccontextmanager
async def _one_server(_: redis_cluster.RedisCluster) -> AsyncIterator[Get]:
    """Read from a server that is no cluster: one MGET for all reads of a tick."""
    with servers.redis() as server:
        store = RedisStore(redis_client(server.url, TIMEOUT_S), "", TIMEOUT_S)
        await _fill(store)
        yield store.get
        await store.aclose()


@asynccontextmanager
async def _redis_py(cluster: redis_cluster.RedisCluster) -> AsyncIterator[Get]:
    nodes = [ClusterNode("127.0.0.1", node.port) for node in cluster.nodes]
    client = RedisCluster(startup_nodes=nodes)
    await client.initialize()
    yield client.get
    await client.aclose()


@asynccontextmanager
async def _glide(cluster: redis_cluster.RedisCluster) -> AsyncIterator[Get]:
    glide: Any = import_module("glide")
    nodes = [glide.NodeAddress("127.0.0.1", node.port) for node in cluster.nodes]
    config = glide.GlideClusterClientConfiguration(nodes, request_timeout=5000)
    client = await glide.GlideClusterClient.create(config)
    yield client.get
    await client.close()


CLIENTS = {
    "gateway.store.cluster": _our_store,
    "gateway.store.redis, one server": _one_server,
    "redis.asyncio.cluster": _redis_py,
    "valkey-glide": _glide,
}


def _key(number: int) -> str:
    return f"session:{number:064x}"


def _cpu_s() -> float:
    """Time of all threads of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _window(get: Get, keys: list[str]) -> tuple[float, float]:
    """Return the CPU time of a GET and its share of the wall clock, in microseconds."""
    numbers = iter(range(GETS))

    async def worker() -> None:
        for number in numbers:
            await get(keys[number % KEYS])

    cpu_s, began_s = _cpu_s(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (_cpu_s() - cpu_s) / GETS * 1e6, (time.perf_counter() - began_s) / GETS * 1e6


async def _fill(store: Store) -> None:
    ends_ms = int((time.time() + 3600) * 1000)
    keys = map(_key, range(KEYS))
    await asyncio.gather(*(store.set(key, b"v" * 300, expires_at_ms=ends_ms) for key in keys))


async def measure(cluster: redis_cluster.RedisCluster) -> None:
    """Print a line for each client that is installed."""
    keys = [_key(number) for number in range(KEYS)]
    store = server_of(StoreOptions(cluster.url, timeout_s=TIMEOUT_S)).store(lambda: None)
    await _fill(store)
    await store.aclose()
    print(f"CPU and elapsed µs of a GET, {IN_FLIGHT} in flight; median of {ROUNDS} × {GETS}")
    for name, opened in CLIENTS.items():
        try:
            async with opened(cluster) as get:
                await _window(get, keys)
                windows = [await _window(get, keys) for _ in range(ROUNDS)]
        except ImportError:
            print(f"{name:34} not installed")
            continue
        cpu_us, elapsed_us = (median(column) for column in zip(*windows, strict=True))
        print(f"{name:34} {cpu_us:6.1f} {elapsed_us:6.1f}")


if __name__ == "__main__":
    with redis_cluster.redis_cluster() as running:
        uvloop.run(measure(running))
