"""
The death of a primary, under load: three sentinels, and a cluster of six nodes.

Replication is asynchronous: what was written just before the death may be gone, and is no fault of
the gateways. Sessions of before are on the replica. See `tests.chaos.test_one_server`.
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.ordeal import CHAOS_S, Fault, endure
from tests.fakes.redis_cluster import RedisCluster, redis_cluster
from tests.fakes.redis_kinds import SENTINEL_PASSWORD, SentinelGroup, sentinel_group
from tests.fakes.servers import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(CHAOS_S * 2 + 180)]

STOP_S = min(5.0, CHAOS_S / 3)
TAKEN_OVER_S = 30.0


async def test_the_death_of_a_master_of_sentinels(tmp_path: Path) -> None:
    """Its replica is the master soon after, and gateways find it."""
    with sentinel_group() as group, ExitStack() as brisk:
        parts = {
            "redis": group.url,
            "redis_timeout": f'250ms, sentinel: {{password: "{SENTINEL_PASSWORD}"}}',
        }
        await endure(tmp_path, parts, _death_of_master(group, brisk))


def _death_of_master(group: SentinelGroup, brisk: ExitStack) -> Fault:
    dead = group.master()

    async def strike() -> None:
        brisk.enter_context(group.is_brisk())
        dead.kill()

    async def is_taken_over() -> bool:
        [other] = [server for server in group.servers if server is not dead]
        return group.is_master_known(other.port)

    async def heal() -> None:
        await eventually(is_taken_over, within_s=TAKEN_OVER_S)
        brisk.close()

    return Fault("Sentinel: kill -9 of the master", strike, heal, 0.0)


async def test_the_death_of_a_primary_of_a_cluster(tmp_path: Path) -> None:
    """A third of the slots is away until its replica takes over."""
    with redis_cluster() as cluster:
        dead = cluster.primaries[0]

        async def strike() -> None:
            dead.kill()

        async def heal() -> None:
            await eventually(lambda: _is_covered(cluster), within_s=TAKEN_OVER_S)

        fault = Fault("Cluster: kill -9 of a primary", strike, heal, 0.0)
        await endure(tmp_path, {"redis": cluster.url}, fault)


async def test_a_stopped_primary_of_a_cluster(tmp_path: Path) -> None:
    """It answers nothing for five seconds (SIGSTOP); meanwhile its replica takes over."""
    with redis_cluster() as cluster:
        stopped = cluster.primaries[0]

        async def strike() -> None:
            stopped.pause()

        async def heal() -> None:
            stopped.resume()
            await asyncio.to_thread(cluster.heal)

        name = f"Cluster: SIGSTOP of a primary for {STOP_S:.0f} s"
        await endure(tmp_path, {"redis": cluster.url}, Fault(name, strike, heal, STOP_S))


async def _is_covered(cluster: RedisCluster) -> bool:
    """Whether the primaries that live serve all slots."""
    states = [node.info("cluster") for node in cluster.primaries]
    return len(states) == 3 and all(state["cluster_slots_ok"] == "16384" for state in states)
