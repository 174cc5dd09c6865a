"""
One address takes as many connections to an app as it can: others are served meanwhile.

ADDRESS_S is how long each attack lasts. The caps are the defaults.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.http import RawClient
from tests.fakes.servers import eventually
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world

ADDRESS_S = float(os.environ.get("ADDRESS_S", "15"))
ATTACKERS = 320
"""More than there are connections to the app (256), and fewer than one client may open (1000)."""
TRICKLE_S = 0.5
TRICKLE = b"x" * 70
"""With `TRICKLE_S`, 140 B/s: above the minimum rate."""
ANOTHER = ("127.0.0.2", 0)
MAX_PROBE_S = 5.0
BIG = 32 << 20
MAX_UNREAD_BYTES = 4096
PROBE = b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /public/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(ADDRESS_S * 3 + 120)]

Attack = Callable[[RawClient], Awaitable[object]]


async def _slow_body(client: RawClient) -> None:
    await client.send(POST)
    while True:
        await client.send(TRICKLE)
        await asyncio.sleep(TRICKLE_S)


async def _slow_reader(client: RawClient) -> None:
    await client.send(b"GET /public/big HTTP/1.1\r\nHost: x\r\n\r\n")
    while await client.reader.read(70):
        await asyncio.sleep(TRICKLE_S)


async def _events(client: RawClient) -> None:
    await client.send(b"GET /public/events HTTP/1.1\r\nHost: x\r\n\r\n")
    while await client.reader.read(4096):
        pass


@pytest.mark.parametrize("attack", [_slow_body, _slow_reader, _events])
async def test_others_are_served(attack: Attack, tmp_path: Path) -> None:
    """Every request of another address succeeds at once, and a share of the attack gets through."""
    async with world(tmp_path, connections="256") as around:
        around.app.streams["/public/slow"] = _read_all
        around.app.streams["/public/big"] = _write_much
        around.app.streams["/public/events"] = _write_events
        attackers = [asyncio.create_task(_again(attack, around)) for _ in range(ATTACKERS)]
        try:
            await eventually(lambda: _is_under_way(around), within_s=30)
            statuses, slowest_s = await _probe_for(ADDRESS_S, around)
        finally:
            for attacker in attackers:
                attacker.cancel()
            await asyncio.wait(attackers)
        most = around.app.connections
    print(  # noqa: T201
        f"{attack.__name__}: {len(statuses)} probes, of them answered {statuses.count(200)},"
        f" slowest {slowest_s * 1000:.0f} ms; connections to the app: {most}"
    )
    assert {200} == set(statuses)
    assert slowest_s < MAX_PROBE_S


async def _is_under_way(around: World) -> bool:
    """The attack holds all that one address may: three quarters of 256."""
    return len(around.app.seen) >= 192


async def _probe_for(length_s: float, around: World) -> tuple[list[int], float]:
    statuses, slowest_s = [], 0.0
    until_s = time.monotonic() + length_s
    while (started_s := time.monotonic()) < until_s:
        reader, writer = await asyncio.open_connection("127.0.0.1", around.port, local_addr=ANOTHER)
        client = RawClient(reader, writer)
        await client.send(PROBE)
        statuses.append((await client.answer()).status)
        writer.transport.abort()
        slowest_s = max(slowest_s, time.monotonic() - started_s)
        await asyncio.sleep(0.05)
    return statuses, slowest_s


async def _again(attack: Attack, around: World) -> None:
    while True:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MAX_UNREAD_BYTES)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", around.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=128)
        try:
            with suppress(ConnectionError):
                await attack(RawClient(reader, writer))
        finally:
            writer.transport.abort()
        await asyncio.sleep(TRICKLE_S)


async def _read_all(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


async def _write_much(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
    for _part in range(BIG >> 16):
        writer.write(bytes(1 << 16))
        await writer.drain()
        await asyncio.sleep(TRICKLE_S)  # all at once would keep this process busy


async def _write_events(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while not writer.is_closing():
        writer.write(b": on\n\n")
        await writer.drain()
        await asyncio.sleep(TRICKLE_S)
