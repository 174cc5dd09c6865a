"""
Faults of a single server, and of the network before it, while 50 people send 500 requests a second.

No answer is another's, no session that the store holds is lost, and the gateways recover by
themselves. Each prints a row of figures; CHAOS_S says how long it runs.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.chaos.network import Network, Weather, network
from tests.chaos.ordeal import CHAOS_S, Fault, endure
from tests.fakes.servers import RealServer, redis

pytestmark = [pytest.mark.slow, pytest.mark.timeout(CHAOS_S * 2 + 120)]

STOP_S = min(5.0, CHAOS_S / 3)


@pytest.fixture
def server() -> Iterator[RealServer]:
    """Debian's Redis, which keeps its data in memory."""
    with redis() as running:
        yield running


@pytest.mark.parametrize(
    "weather", [Weather.CUT, Weather.SLOW, Weather.SILENT, Weather.GARBLED], ids=lambda w: w.name
)
async def test_a_bad_network(tmp_path: Path, server: RealServer, weather: Weather) -> None:
    """The same connections are never trusted with the replies of others."""
    async with network(server.url) as before:
        name = f"network {weather.name.lower()}"
        await endure(tmp_path, {"redis": before.url}, _fault(name, before, weather))
    assert (before.garbled > 0) is (weather is Weather.GARBLED)


def _fault(name: str, before: Network, weather: Weather) -> Fault:
    async def strike() -> None:
        before.weather = weather

    async def heal() -> None:
        before.weather = Weather.FAIR

    return Fault(name, strike, heal)


async def test_a_stopped_server(tmp_path: Path, server: RealServer) -> None:
    """It accepts connections and answers nothing for five seconds (SIGSTOP)."""

    async def strike() -> None:
        server.pause()

    async def heal() -> None:
        server.resume()

    fault = Fault(f"SIGSTOP for {STOP_S:.0f} s", strike, heal, STOP_S)
    await endure(tmp_path, {"redis": server.url}, fault)


async def test_a_full_memory(tmp_path: Path, server: RealServer) -> None:
    """Reads go on; what has to be written is refused until there is room again."""
    client = Redis(unix_socket_path=server.url.removeprefix("unix://"))

    async def strike() -> None:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "1mb")

    async def heal() -> None:
        await client.config_set("maxmemory", "0")

    try:
        await endure(tmp_path, {"redis": server.url}, Fault("memory full", strike, heal))
    finally:
        await client.aclose()
        await asyncio.sleep(0)
