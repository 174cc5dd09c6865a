"""A gateway whose own loop stands still for longer than its store may take."""

import asyncio
import secrets
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.world import world

CLIENTS = 8
STALLS = 3
STALL_S = 1.2
"""More than twice the store's time-out."""


@pytest.mark.timeout(120)
async def test_a_stall_of_its_own_is_no_fault_of_the_store(tmp_path: Path) -> None:
    """No caller hears 503: the replies have arrived meanwhile, and are read first."""
    statuses: Counter[int] = Counter()
    async with world(tmp_path, redis_timeout="500ms") as around:
        is_over = False

        async def ask() -> None:
            while not is_over:
                unknown = secrets.token_urlsafe(32)  # each has to be looked up
                cookies = f"Cookie: __Host-session={unknown}; session={unknown}"
                statuses[(await around.get("/x", cookies)).status] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(ask())
            for _ in range(STALLS):
                async with asyncio.timeout(20):
                    before = statuses.total()
                    while statuses.total() < before + 5 * CLIENTS:
                        await asyncio.sleep(0.001)
                around.gateway.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(STALL_S)
                around.gateway.process.send_signal(signal.SIGCONT)
            is_over = True

    assert {401} == set(statuses)
