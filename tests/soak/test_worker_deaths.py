"""Workers that are killed: how long new connections wait for an answer meanwhile."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.fakes.servers import eventually
from tests.fakes.world import World, world

DEATHS = 6
CLIENTS = 16
MAX_WAIT_S = 5.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def test_new_connections_hardly_wait(tmp_path: Path) -> None:
    """Each is answered within five seconds, or broken by the death itself."""
    waits_s: list[float] = []
    broken = 0
    async with world(tmp_path, workers="2") as around:

        async def connect_again_and_again() -> None:
            nonlocal broken
            while True:
                began_s = time.monotonic()
                try:
                    assert 200 == (await around.get("/public/x")).status
                except (AssertionError, ConnectionError):
                    broken += 1
                waits_s.append(time.monotonic() - began_s)

        clients = [asyncio.create_task(connect_again_and_again()) for _ in range(CLIENTS)]
        for number in range(DEATHS):
            await _kill(around, 1 + number % 2)
        for client in clients:
            client.cancel()
        await asyncio.wait(clients)
    waits_s.sort()
    print(  # noqa: T201
        f"{DEATHS} deaths, {len(waits_s)} connections, {broken} broken; longest wait "
        f"{waits_s[-1]:.2f} s, p99 {waits_s[len(waits_s) * 99 // 100] * 1000:.0f} ms"
    )
    assert waits_s[-1] < MAX_WAIT_S
    assert broken <= DEATHS * CLIENTS


async def _kill(around: World, number: int) -> None:
    """Kill a worker, and wait until there is another in its place."""
    victim = around.gateway.workers()[number]
    os.kill(victim, signal.SIGKILL)

    async def is_replaced() -> bool:
        return around.gateway.workers()[number] != victim

    await eventually(is_replaced, within_s=60)
