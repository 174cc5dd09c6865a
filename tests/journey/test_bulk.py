"""A gibibyte each way: it passes, and the gateway's memory does not grow with it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakes.http import connected
from tests.fakes.upstream import Seen
from tests.fakes.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

CONFIG_CHANGES = {"max": "{body: 2GiB}"}

SIZE = 1 << 30
BLOCK = b"x" * (1 << 20)
ALLOWED_GROWTH = 8 << 20


async def _download(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.set_write_buffer_limits(0)  # drain until all is sent: the rest would be lost
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
    for _number in range(SIZE // len(BLOCK)):
        writer.write(BLOCK)
        await writer.drain()


async def _upload(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = SIZE
    while left:
        left -= len(await reader.read(1 << 20))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


@pytest_asyncio.fixture(loop_scope="module")
async def warm(around: World) -> AsyncIterator[World]:
    """A gateway that has served a few requests already."""
    for _ in range(20):
        await around.get("/public/x")
    yield around


async def test_download(warm: World) -> None:
    """1 GiB to the client."""
    warm.app.streams["/public/down"] = _download
    before = warm.gateway.resident_bytes()
    highest, received = before, 0
    async with connected(warm.port) as client:
        await client.send(b"GET /public/down HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        while received < SIZE:
            part = await client.reader.read(1 << 20)
            assert part, f"cut off after {received} bytes"
            received += len(part)
            highest = max(highest, warm.gateway.resident_bytes())

    assert SIZE == received
    assert highest - before < ALLOWED_GROWTH


async def test_upload(warm: World) -> None:
    """1 GiB to the app."""
    warm.app.streams["/public/up"] = _upload
    before = warm.gateway.resident_bytes()
    highest = before
    async with connected(warm.port) as client:
        await client.send(
            b"POST /public/up HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % SIZE
        )
        for _ in range(SIZE // len(BLOCK)):
            await client.send(BLOCK)
            highest = max(highest, warm.gateway.resident_bytes())
        assert 200 == (await client.answer()).status

    assert highest - before < ALLOWED_GROWTH
