"""
An approximate limit under a flood of one caller: 64 clients of 2 gateways with 2 workers each.

What passes is printed, beside the bound that docs/limits.md states.
"""

import asyncio
import time
from pathlib import Path

import pytest

from tests.fakes.http import RawClient, connected
from tests.fakes.process import gateway
from tests.fakes.world import world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

RATE = 1000
PROCESSES = 4
BOUND = RATE + (PROCESSES - 1) * RATE // 10
CLIENTS = 64
LIMITS = f"  hot: {{rate: {RATE}/day, algorithm: fixed-window, approximate: true}}"
ROUTES = '  - {name: hot, match: {path: "/hot/*"}, auth: none, limits: [hot], upstream: app}'
REQUEST = b"GET /hot/x HTTP/1.1\r\nHost: x\r\n\r\n"
FLOOD_S = 5


async def _passed(client: RawClient, until_s: float) -> int:
    """How many of a client's requests the app has answered."""
    passed = 0
    while time.time() < until_s:
        await client.send(REQUEST)
        passed += (await client.answer()).status == 200
    return passed


async def test_a_flood_exceeds_the_limit_by_no_more_than_the_bound(tmp_path: Path) -> None:
    """And all of the limit passes."""
    changes = {"workers": "2", "more_limits": LIMITS, "more_routes": ROUTES}
    async with world(tmp_path, **changes) as around:
        folder = tmp_path / "other"
        folder.mkdir()
        async with gateway(around.gateway.config.read_text(), folder) as other:
            until_s = time.time() + FLOOD_S
            async with asyncio.TaskGroup() as tasks:
                flood = [
                    tasks.create_task(_client(port, until_s))
                    for port in (around.port, other.port) * (CLIENTS // 2)
                ]
    passed = sum(each.result() for each in flood)
    print(f"{passed} passed of a limit of {RATE}; the bound is {BOUND}")  # noqa: T201
    assert RATE <= passed <= BOUND


async def _client(port: int, until_s: float) -> int:
    async with connected(port) as client:
        return await _passed(client, until_s)
