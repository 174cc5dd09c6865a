"""The private listener of one process."""

import asyncio
from pathlib import Path

from tests.fakes.http import connected
from tests.fakes.metrics import figures
from tests.fakes.world import ADMIN, world


async def test_figures_are_of_the_requests_that_were_sent(tmp_path: Path) -> None:
    """Every request is counted once, whatever became of it."""
    async with world(tmp_path, admin=ADMIN) as around:
        for _ in range(3):
            assert 200 == (await around.get("/public/x")).status
        assert 401 == (await around.get("/x")).status
        async with connected(around.port):
            found = await figures(around.gateway.admin_port)
            assert 3 == found['gateway_requests_total{status="2xx"}']
            assert 1 == found['gateway_requests_total{status="4xx"}']
            assert 1 == found['gateway_refusals_total{code="unauthenticated"}']
            assert 4 == found["gateway_request_duration_seconds_count"]
            assert 5 == found['gateway_connections_total{outcome="accepted"}']
            assert 1 == found['gateway_upstream_idle{upstream="app"}']
            async with asyncio.timeout(20):  # closed connections may be seen late
                while (await figures(around.gateway.admin_port))["gateway_connections_open"] != 1:
                    await asyncio.sleep(0.01)
