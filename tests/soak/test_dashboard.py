"""
What an open page of the dashboard costs: memory in a day, and time of a core.

A day is 86 400 events, as fast as they can be made: the memory of the gateway is that of its first
hour. DASHBOARD_EVENTS sets another number. The time is that of a gateway with two workers and a
hundred routes in use, without a page, with one, and with as many as may be open, for DASHBOARD_S
seconds each.
"""

import asyncio
import gc
import os
import time
import tracemalloc
from collections import deque
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.feed import MAX_PAGES, Feed
from gateway.admin.figures import Overview
from gateway.telemetry import metrics
from gateway.telemetry.snapshot import MetricsSnapshot
from gateway.util.rfc3339 import rfc3339
from tests.fakes.admin import Source
from tests.fakes.http import RawClient, connected, fetch
from tests.fakes.world import ADMIN, World, world

EVENTS = int(os.environ.get("DASHBOARD_EVENTS", "86400"))
GROWTH_BYTES = 64 << 10
SECONDS = float(os.environ.get("DASHBOARD_S", "30"))
ROUTES = 100
OF_ONE_PAGE, OF_ALL_PAGES = 0.01, 0.05
"""Shares of a core."""
EVENTS_REQUEST = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Busy(Source):
    """Has served another request, and refused another, each time that it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.recent: deque[Mapping[str, Any]] = deque(maxlen=100)

    async def overview(self) -> Overview:
        self.number += 1
        time_text = rfc3339(1_767_225_600_000 + self.number * 1000)
        refused = {"time": time_text, "id": str(self.number), "client": "192.0.2.1", "path": "/x"}
        self.recent.append(refused)
        requests = {
            (metrics.REQUESTS.name, f"r{each},GET,200"): float(self.number) for each in range(20)
        }
        whole = MetricsSnapshot(requests, {})
        return Overview(whole, {"gateway": whole})

    async def refusals(self, since: str) -> list[Mapping[str, Any]]:
        return [each for each in self.recent if each["time"] >= since]


async def test_a_page_that_is_open_for_a_day_costs_no_memory() -> None:
    """Refusals are told once each, and what was told is forgotten."""
    source = Busy()
    feed = Feed(source, lambda: 1_767_225_600.0 + source.number, 0.0)
    tracemalloc.start()
    try:
        told, after_an_hour, began_s = 0, 0, time.process_time()
        async with aclosing(feed.events()) as page:  # type: ignore[type-var]
            await anext(page)
            for number in range(EVENTS):
                told += (await anext(page)).count(b'"192.0.2.1"')
                if number == EVENTS // 24:
                    gc.collect()
                    after_an_hour = tracemalloc.get_traced_memory()[0]
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - after_an_hour
        each_us = (time.process_time() - began_s) / EVENTS * 1e6
    finally:
        tracemalloc.stop()
    print(f"{EVENTS} events, {each_us:.0f} us each; {grown} bytes more than after an hour")  # noqa: T201
    assert GROWTH_BYTES > grown
    assert EVENTS - 2 <= told <= EVENTS + 2


async def test_an_open_page_costs_less_than_one_percent_of_a_core(tmp_path: Path) -> None:
    """All processes together; twenty pages share what is read, and one more is refused."""
    line = '  - {{name: r{0}, match: {{path: "/r{0}/*"}}, auth: none, upstream: app}}\n'
    routes = "".join(map(line.format, range(ROUTES)))
    async with world(tmp_path, admin=ADMIN, workers="2", more_routes=routes) as around:
        for _ in range(4):  # both workers
            for number in range(ROUTES):
                assert 200 == (await fetch(around.port, "GET", f"/r{number}/x")).status
        shares: dict[int, float] = {}
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            port, reading = around.gateway.admin_port, list[asyncio.Task[None]]()
            for pages in (0, 1, MAX_PAGES):
                while len(reading) < pages:
                    page = await stack.enter_async_context(connected(port))
                    reading.append(group.create_task(_read(await page.send(EVENTS_REQUEST))))
                shares[pages] = await _share(around)
                print(f"{pages} pages: {shares[pages] * 100:.2f} % of a core")  # noqa: T201
            assert 503 == (await fetch(port, "GET", "/api/events")).status
            for task in reading:
                task.cancel()
    assert OF_ONE_PAGE > shares[1] - shares[0]
    assert OF_ALL_PAGES > shares[MAX_PAGES] - shares[0]


async def _read(page: RawClient) -> None:
    while await page.reader.read(1 << 16):
        pass


async def _share(around: World) -> float:
    """The time that the processes of the gateway have run, by the time that went by."""
    before_s, began_s = _cpu_s(around), time.monotonic()
    await asyncio.sleep(SECONDS)
    return (_cpu_s(around) - before_s) / (time.monotonic() - began_s)


def _cpu_s(around: World) -> float:
    processes = [around.gateway.process.pid, *around.gateway.workers().values()]
    threads = [
        thread for each in processes for thread in Path(f"/proc/{each}/task").glob("*/schedstat")
    ]
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
