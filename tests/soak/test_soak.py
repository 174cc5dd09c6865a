"""
Clients that abort at random and apps that die at random, for as long as SOAK_S says.

Each answer carries its request's nonce. At the end nothing is left: no socket, no memory.
"""

import asyncio
import os
import random
import secrets
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

import h11
import pytest

from tests.fakes.http import RawClient, connected
from tests.fakes.servers import eventually
from tests.fakes.upstream import Seen, Upstream
from tests.fakes.world import World, world

SOAK_S = float(os.environ.get("SOAK_S", "300"))
CLIENTS = 24
WARM_UP_S = min(10.0, SOAK_S / 4)
SETTLE_S = 15.0

MAX_GROWTH_BYTES = 4 << 20
"""Of resident memory, from the end of the warm-up to the end."""

RESET = struct.pack("ii", 1, 0)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SOAK_S + 120)]


@dataclass
class Tally:
    """What became of the requests."""

    outcomes: Counter[str] = field(default_factory=Counter)
    mixed_up: list[str] = field(default_factory=list)
    resident_bytes: list[int] = field(default_factory=list)

    def report(self, before: int, after: int) -> str:
        """Print progress for the reader of the run."""
        megabytes = [f"{size / 1e6:.1f}" for size in self.resident_bytes]
        return (
            f"{sum(self.outcomes.values())} requests in {SOAK_S:.0f} s: "
            f"{dict(sorted(self.outcomes.items()))}; descriptors {before} -> {after}; "
            f"resident MB {megabytes[:: max(1, len(megabytes) // 12)]}"
        )


# --- an app that dies at random ----------------------------------------------------------------


async def _echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer with the request's nonce, in any framing, sometimes not to the end."""
    nonce = seen.values("X-Nonce")[0].encode()
    body = nonce * random.choice([1, 1, 10, 1000, 5000])
    fate = random.random()
    if fate < 0.03:
        writer.transport.abort()
        return
    await asyncio.sleep(random.choice([0, 0, 0, 0.001, 0.01]))
    head = b"HTTP/1.1 200 OK\r\nX-Nonce: " + nonce + b"\r\n"
    if random.random() < 0.2:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nX-Nonce: " + nonce + b"\r\n\r\n")
    framing = random.choice(["length", "chunked", "close"])
    if framing == "length":
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body))
    else:
        coding = b"Transfer-Encoding: chunked\r\n\r\n" if framing == "chunked" else b"\r\n"
        writer.write(head + coding)
    for start in range(0, len(body), 16384):
        part = body[start : start + 16384]
        writer.write(b"%x\r\n%b\r\n" % (len(part), part) if framing == "chunked" else part)
        if fate < 0.06:
            writer.transport.abort()
            return
        await writer.drain()
    if framing == "chunked":
        trailer = b"X-Nonce: " + nonce + b"\r\n" if fate > 0.8 else b""
        writer.write(b"0\r\n" + trailer + b"\r\n")
    if framing == "close" or fate > 0.97:
        writer.close()


async def _kill_at_random(app: Upstream, until_s: float) -> None:
    """Now and then the whole app is gone for a moment."""
    while time.monotonic() < until_s:
        await asyncio.sleep(random.uniform(2, 6))
        await app.stop()
        await asyncio.sleep(random.uniform(0, 0.2))
        await app.start()


# --- clients that abort at random --------------------------------------------------------------


async def _client(around: World, counters: Tally, until_s: float) -> None:
    while time.monotonic() < until_s:
        try:
            async with connected(around.port) as client:
                await _requests(client, around, counters)
        except (ConnectionError, h11.RemoteProtocolError, AssertionError) as error:
            if isinstance(error, AssertionError) and "no answer" not in str(error):
                raise
            counters.outcomes["broken"] += 1


async def _requests(client: RawClient, around: World, counters: Tally) -> None:
    """Send some requests over one connection, until either side ends it."""
    for _ in range(random.randint(1, 20)):
        nonce = secrets.token_hex(8)
        request = _request(nonce)
        fate = random.random()
        if fate < 0.05:
            await client.send(request[: random.randrange(len(request))])
            await _leave(client, counters)
            return
        await client.send(request)
        if fate < 0.10:
            await asyncio.sleep(random.choice([0, 0, 0.005]))
            await _leave(client, counters)
            return
        answer = await client.answer()
        outcome = str(answer.status) if answer.is_complete else "cut"
        counters.outcomes[outcome] += 1
        _hold_nonce(nonce, answer.values("X-Nonce"), answer.body, answer.status, counters)
        if not answer.is_complete or answer.values("Connection") == ["close"]:
            return


def _request(nonce: str) -> bytes:
    head = f" /public/soak HTTP/1.1\r\nHost: x\r\nX-Nonce: {nonce}\r\n"
    kind = random.random()
    if kind < 0.6:
        return f"GET{head}\r\n".encode()
    body = os.urandom(random.choice([1, 100, 50_000]))
    if kind < 0.8:
        return f"POST{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    return (
        f"PUT{head}Transfer-Encoding: chunked\r\n\r\n".encode()
        + b"%x\r\n%b\r\n0\r\nX-Nonce: trailer\r\n\r\n" % (len(body), body)
    )


async def _leave(client: RawClient, counters: Tally) -> None:
    counters.outcomes["left"] += 1
    if random.random() < 0.5:
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(SOL_SOCKET, SO_LINGER, RESET)


def _hold_nonce(nonce: str, values: list[str], body: bytes, status: int, counters: Tally) -> None:
    if status == 200 and (values != [nonce] or body.replace(nonce.encode(), b"")[:15] != b""):
        counters.mixed_up.append(f"{nonce}: {values} {body[:50]!r}")
    if status != 200 and values:
        counters.mixed_up.append(f"{nonce}: {values} on {status}")


async def _watch(around: World, counters: Tally, until_s: float) -> None:
    while time.monotonic() < until_s:
        counters.resident_bytes.append(around.gateway.resident_bytes())
        await asyncio.sleep(1)


# --- the test ----------------------------------------------------------------------------------


async def test_soak(tmp_path: Path) -> None:
    """Every request is answered or broken, none gets another's answer, and nothing is left."""
    counters = Tally()
    async with world(tmp_path, app_timeouts="{connect: 1s, response: 5s, idle: 5s}") as around:
        around.app.answers["/public/soak"] = _echo
        await around.get("/public/first")
        before = around.gateway.descriptors()
        until_s = time.monotonic() + SOAK_S
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_kill_at_random(around.app, until_s - 1))
            tasks.create_task(_watch(around, counters, until_s))
            tasks.create_task(_forget(around, until_s))
            for _ in range(CLIENTS):
                tasks.create_task(_client(around, counters, until_s))
        await around.app.stop()
        await eventually(lambda: _has_let_go(around, before), within_s=SETTLE_S)
        after = around.gateway.descriptors()
        print(counters.report(before, after))  # noqa: T201 (the figures of the run)
    warm = counters.resident_bytes[int(WARM_UP_S) : int(WARM_UP_S) + 5]
    assert [] == counters.mixed_up
    assert counters.outcomes["200"] > SOAK_S
    assert counters.outcomes["500"] == 0
    assert min(counters.resident_bytes[-5:]) - min(warm) < MAX_GROWTH_BYTES


async def _has_let_go(around: World, before: int) -> bool:
    return around.gateway.descriptors() <= before


async def _forget(around: World, until_s: float) -> None:
    """Keep the memory of this process, which the app shares, from filling up."""
    while time.monotonic() < until_s:
        around.app.seen.clear()
        around.app.raw = b""
        await asyncio.sleep(0.2)
