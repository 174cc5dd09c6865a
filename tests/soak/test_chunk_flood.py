"""
Floods of tiny chunks: meanwhile, other callers are answered as ever.

FLOOD_S is how long each flood lasts.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.fakes.http import connected
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world

FLOOD_S = float(os.environ.get("FLOOD_S", "10"))
BYTES_PER_S = 2_000_000
TICK_S = 0.01
MAX_BURST_BYTES = 1 << 18
MAX_P99_S = 0.05
CALLERS = 4
ROUNDS, MOST_ROUNDS = 3, 15
"""What a flood does to others it does in each; what a busy machine does to them comes and goes."""
ROUND_S = FLOOD_S / ROUNDS

SHAPES = {
    "one-byte": b"1\r\nx\r\n",
    "three-bytes": b"3\r\nabc\r\n",
    "extended": b"8;a\r\nabcdefgh\r\n",
}
"""Framing that is refused after a while, and framing that may just go on, plain or not."""
TARGETS = {"refused": "/private/flood", "public": "/public/flood"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(FLOOD_S * 10 + 120),
    pytest.mark.asyncio(loop_scope="module"),
]


@dataclass
class Flood:
    """What the flooding clients got rid of."""

    sent_bytes: int = 0
    connections: int = 0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A gateway, and an app that takes what it is sent."""

    async def take(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async with world(tmp_path_factory.mktemp("flood")) as running:
        running.app.streams["/public/flood"] = take
        yield running


@pytest.mark.parametrize("clients", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", TARGETS)
async def test_others_are_answered_in_time(
    target: str, shape: str, clients: int, around: World
) -> None:
    """Each of them gets its answer, and 99 of 100 within 50 ms."""
    flood, cookie = Flood(), await around.sign_in()
    quiet_s = _p99(await _calls(around, cookie, time.monotonic() + ROUND_S))
    cpu_s, calls, p99s_s, is_in_time = around.gateway.cpu_s(), 0, list[float](), False
    while len(p99s_s) < ROUNDS or (not is_in_time and len(p99s_s) < MOST_ROUNDS):
        if len(p99s_s) >= ROUNDS:  # the machine is not as idle as it was, or never was
            quiet_s = _p99(await _calls(around, cookie, time.monotonic() + ROUND_S))
        flooded = await _flooded(around, cookie, TARGETS[target], SHAPES[shape], clients, flood)
        calls += len(flooded)
        p99s_s.append(_p99(flooded))
        is_in_time |= p99s_s[-1] <= MAX_P99_S + 2 * quiet_s
    cpu_s, length_s = around.gateway.cpu_s() - cpu_s, len(p99s_s) * ROUND_S
    print(  # noqa: T201 (the figures of the run)
        f"{clients} x {shape} on a {target} route: {flood.sent_bytes / length_s / 1e6:.2f} MB/s"
        f" over {flood.connections} connections, {cpu_s / length_s:.0%} of a core;"
        f" {calls} calls of others: p99 {_ms(*p99s_s)}, without a flood {_ms(quiet_s)}"
    )
    assert is_in_time


async def _flooded(
    around: World, cookie: str, target: str, chunk: bytes, clients: int, flood: Flood
) -> list[float]:
    """How long others' calls take during a flood."""
    until_s = time.monotonic() + ROUND_S
    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(_flood(around.port, target, chunk, flood, until_s))
        calls = tasks.create_task(_calls(around, cookie, until_s))
    return calls.result()


async def _flood(port: int, target: str, chunk: bytes, flood: Flood, until_s: float) -> None:
    """Send chunks without end, and begin anew when that is refused."""
    begun_s, sent_bytes = time.monotonic(), 0
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    while time.monotonic() < until_s:
        async with connected(port, source="127.0.0.2") as client:
            flood.connections += 1
            refused = asyncio.ensure_future(client.reader.read(1))
            client.writer.write(head)
            try:
                while time.monotonic() < until_s and not refused.done():
                    due_bytes = (time.monotonic() - begun_s) * BYTES_PER_S - sent_bytes
                    burst = chunk * (int(min(due_bytes, MAX_BURST_BYTES)) // len(chunk))
                    client.writer.write(burst)
                    async with asyncio.timeout_at(asyncio.get_running_loop().time() + FLOOD_S):
                        await client.writer.drain()
                    sent_bytes += len(burst)
                    await asyncio.sleep(TICK_S)
            except (ConnectionError, TimeoutError):
                pass
            finally:
                refused.cancel()
                await asyncio.wait([refused])
    flood.sent_bytes += sent_bytes


async def _calls(around: World, cookie: str, until_s: float) -> list[float]:
    """What some callers measure, in order of length."""
    calls = await asyncio.gather(*(_call(around.port, cookie, until_s) for _ in range(CALLERS)))
    return sorted(taken_s for call in calls for taken_s in call)


def _p99(times_s: list[float]) -> float:
    return times_s[len(times_s) * 99 // 100]


def _ms(*times_s: float) -> str:
    return ", ".join(f"{time_s * 1e3:.0f}" for time_s in times_s) + " ms"


async def _call(port: int, cookie: str, until_s: float) -> list[float]:
    """Ask for a page with a session, now and then; return how long each answer took."""
    times_s: list[float] = []
    request = f"GET /private/page HTTP/1.1\r\nHost: x\r\n{cookie}\r\n\r\n".encode()
    async with connected(port) as client:
        while time.monotonic() < until_s:
            begun_s = time.monotonic()
            answer = await (await client.send(request)).answer()
            times_s.append(time.monotonic() - begun_s)
            assert answer.status == 200, answer
            await asyncio.sleep(TICK_S)
    return times_s
