"""
An approximate limit under a flood of one caller: 64 clients of 2 gateways with 2 workers each.

What passes is printed, beside the bound that docs/limits.md states.
"""

import asyncio
from pathlib import Path

import pytest

from tests.fakes.http import connected
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
MANY = 50
"""Refusals in a row after which nothing passes any more."""


async def _passed(port: int) -> int:
    """How many requests of a client the app has answered, until the limit is used up."""
    passed = refused = 0
    async with connected(port) as client:
        while refused < MANY:
            await client.send(REQUEST)
            is_refused = (await client.answer()).status == 429
            refused = refused + 1 if is_refused else 0
            passed += not is_refused
    return passed


async def test_a_flood_exceeds_the_limit_by_no_more_than_the_bound(tmp_path: Path) -> None:
    """And all of the limit passes."""
    changes = {"workers": "2", "more_limits": LIMITS, "more_routes": ROUTES, "redis_timeout": "10s"}
    async with world(tmp_path, **changes) as around:
        folder = tmp_path / "other"
        folder.mkdir()
        async with gateway(around.gateway.config.read_text(), folder) as other:
            ports = (around.port, other.port) * (CLIENTS // 2)
            passed = sum(await asyncio.gather(*map(_passed, ports)))
    print(f"{passed} passed of a limit of {RATE}; the bound is {BOUND}")  # noqa: T201
    assert RATE <= passed <= BOUND
