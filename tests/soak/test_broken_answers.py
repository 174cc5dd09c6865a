"""
One of two servers breaks all its answers off: it is ejected, and few clients see it.

BROKEN_S is how long the load lasts; one ejection lasts 10 s.
"""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.http import fetch
from tests.fakes.upstream import Upstream, serving
from tests.fakes.world import ADMIN, World, world

BROKEN_S = float(os.environ.get("BROKEN_S", "6"))
CLIENTS = 8
PAUSE_S = 0.005
"""Between two requests of a client: each answer to HEAD may cost a connection to a server."""
MAX_CUT = 5 + CLIENTS
"""Failures in a row that eject a server, and requests that are under way then."""
ODD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"
UPSTREAM = '  pair: {{servers: ["http://127.0.0.1:{}", "http://127.0.0.1:{}"]}}'
ROUTE = '  - {name: pair, match: {path: "/pair/*"}, auth: none, upstream: pair}'

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BROKEN_S * 2 + 60)]


async def test_a_server_that_breaks_its_answers_off_is_ejected(tmp_path: Path) -> None:
    """Of all answers in one pause, those cut are a handful."""
    async with serving() as good, serving() as bad:
        bad.answer("/pair/x", ODD, then_close=True)
        answers = await _load(tmp_path, "GET", good, bad)
    print(f"answers in {BROKEN_S:.0f} s: {dict(answers)}")  # noqa: T201
    assert answers["whole"] > answers["cut"] > 0
    assert answers["cut"] <= MAX_CUT * (1 + BROKEN_S // 10)


async def test_a_server_with_odd_answers_to_head_is_not_ejected(tmp_path: Path) -> None:
    """It sends a body with each: every client has its answer, and both servers are asked."""
    async with serving() as good, serving() as odd:
        odd.answer("/pair/x", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
        answers = await _load(tmp_path, "HEAD", good, odd)
        asked = len(good.seen), len(odd.seen)
    print(f"answers in {BROKEN_S:.0f} s: {dict(answers)}, by server: {asked}")  # noqa: T201
    assert ["whole"] == list(answers)
    assert min(asked) * 2 > max(asked)


async def _load(folder: Path, method: str, *servers: Upstream) -> Counter[str]:
    ports = UPSTREAM.format(*(server.port for server in servers))
    answers: Counter[str] = Counter()
    async with world(folder, admin=ADMIN, more_upstreams=ports, more_routes=ROUTE) as around:
        until_s = time.monotonic() + BROKEN_S
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(_ask(around, method, until_s, answers))
    return answers


async def _ask(around: World, method: str, until_s: float, answers: Counter[str]) -> None:
    while time.monotonic() < until_s:
        answer = await fetch(around.port, method, "/pair/x")
        answers["whole" if answer.status == 200 and answer.is_complete else "cut"] += 1
        await asyncio.sleep(PAUSE_S)
