"""What a long path full of escapes costs: no more than a few times a plain one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.routing.target import MAX_ESCAPES
from tests.fakes.http import connected
from tests.fakes.world import World, world

REQUESTS = 400
MAX_TIMES = 4.0
"""Twice and a half is usual."""
LONGEST = 15_000

TARGETS = {
    "escapes, too many": "/tight/" + "%40;" * (LONGEST // 4),
    "escapes, as many as may be": "/tight/" + "%40;" * (MAX_ESCAPES // 2),
    "escapes in lower case": "/tight/" + "%3b" * MAX_ESCAPES,
    "segments and an escape": "/tight/" + "a/" * (LONGEST // 2) + "%20",
    "segments with parameters": "/tight/" + "a;/" * MAX_ESCAPES,
    "raw characters": "/tight/" + "|" * MAX_ESCAPES,
}

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A gateway with a limit that is used up, so that judging the target is most of the work."""
    async with world(tmp_path_factory.mktemp("targets")) as running:
        for _ in range(6):
            await running.get("/tight/x")
        yield running


@pytest.mark.parametrize("name", TARGETS)
async def test_a_long_path_is_little_work(name: str, around: World) -> None:
    """By the processor time of the gateway, against a plain path of the longest length."""
    cpu_ms = await _cpu_ms(around, TARGETS[name])
    plain_ms = await _cpu_ms(around, "/tight/" + "a" * LONGEST)
    print(  # noqa: T201 (the figures of the run)
        f"{name} ({len(TARGETS[name])} characters): {cpu_ms:.2f} ms of processor time a request,"
        f" a plain path of {LONGEST}: {plain_ms:.2f} ms"
    )
    assert cpu_ms <= MAX_TIMES * plain_ms


async def _cpu_ms(around: World, target: str) -> float:
    """Processor time for one request, each on a connection of its own."""
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    cpu_s = around.gateway.cpu_s()
    for _ in range(REQUESTS):
        async with connected(around.port) as client:
            status = (await (await client.send(request)).answer()).status
            assert status in {200, 400, 429}  # 200: the first of a window of the limit
    return (around.gateway.cpu_s() - cpu_s) / REQUESTS * 1e3
