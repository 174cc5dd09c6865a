"""No client keeps an app's connections from the others, however its requests end."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.fakes.http import Answer, RawClient, connected
from tests.fakes.servers import eventually
from tests.fakes.upstream import Seen
from tests.fakes.world import World
from tests.journey.test_access import ACCEPTED, HANDSHAKE

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONNECTIONS = 8
QUARTER = CONNECTIONS // 4
ALONE = CONNECTIONS - QUARTER
"""How many a client may hold while no other is there."""

CONFIG_CHANGES = {
    "trusted_proxies": '["127.0.0.1"]',
    "client_ip": "x-forwarded-for",
    "connections": str(CONNECTIONS),
    "timeouts": "{body_idle: 1s}",
    "app_timeouts": "{connect: 1s, response: 1s, idle: 1s}",
    "more_routes": """
  - {name: socket, match: {path: "/socket"}, auth: none, upgrades: [websocket], upstream: app}
  - {name: held, match: {path: "/held/*"}, auth: none, upstream: app, timeouts: {response: 60s}}
""",
}

POSTED = "Content-Length: 10"
OLD, OTHER, THIRD = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def head(target: str, client: str, *fields: str, method: str = "GET") -> bytes:
    """A request of ``client``, as a trusted proxy forwards it."""
    lines = (f"{method} {target} HTTP/1.1", "Host: x", f"X-Forwarded-For: {client}", *fields)
    return "\r\n".join((*lines, "", "")).encode()


@asynccontextmanager
async def held(around: World, client: str, number: int) -> AsyncIterator[None]:
    """Requests of ``client`` that the app has, and does not answer."""
    done = asyncio.Event()

    async def wait(_: Seen, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    path = f"/held/{client}"
    around.app.answers[path] = wait

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(around.port)) for _ in range(number)]
        stack.callback(done.set)
        for one in clients:
            await one.send(head(path, client))
        await eventually(lambda: _have_come(around, path, number), within_s=20)
        yield
        done.set()
        assert [200] * number == [(await one.answer()).status for one in clients]
    around.app.forget()


async def _have_come(around: World, path: str, number: int) -> bool:
    return number == [seen.target for seen in around.app.seen].count(path)


def _reset(client: RawClient) -> None:
    """Leave for good: a client that only ends its input may still wait for its answer."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def _tell(around: World, raw: bytes, *, then_close: bool = False) -> None:
    around.app.answer("/public/a", raw, then_close=then_close)


async def _ends_by(around: World, kind: str, client: RawClient, who: str) -> None:
    """One request of ``who`` that ends as ``kind`` says."""
    request = head("/public/a", who)
    if kind == "leaves-before-the-answer":
        await _tell(around, b"")
        await client.send(request)
        await eventually(lambda: _have_come(around, "/public/a", ALONE), within_s=20)
    elif kind == "leaves-in-its-body":
        await client.send(head("/public/a", who, POSTED, method="POST") + b"12345")
    elif kind == "withholds-its-body":
        await client.send(head("/public/a", who, POSTED, method="POST") + b"12345")
        await client.answer()
    elif kind == "is-not-answered":
        await _tell(around, b"")
        await client.send(request)
        assert 504 == (await client.answer()).status
    elif kind == "answer-breaks-off":
        await _tell(around, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe", then_close=True)
        await client.send(request)
        assert not (await client.answer()).is_complete
    elif kind == "is-reset-by-the-app":
        await _tell(around, b"", then_close=True)
        await client.send(request)
        assert 502 == (await client.answer()).status
    elif kind == "becomes-a-tunnel":
        around.app.streams["/socket"] = _accept
        await client.send(head("/socket", who, HANDSHAKE))
        await client.reader.readuntil(b"\r\n\r\n")
    elif kind == "has-no-body":
        await _tell(around, b"HTTP/1.1 304 Not Modified\r\n\r\n")
        await client.send(request)
        assert 304 == (await client.answer()).status
    else:
        around.app.answers.pop("/public/a", None)
        await client.send(request)
        assert 200 == (await client.answer()).status


async def _accept(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{ACCEPTED}\r\n\r\n".encode())
    await reader.read()


KINDS = (
    *("is-answered", "has-no-body", "leaves-before-the-answer", "leaves-in-its-body"),
    *("withholds-its-body", "is-not-answered", "answer-breaks-off", "is-reset-by-the-app"),
    "becomes-a-tunnel",
)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_share_is_given_back(kind: str, around: World) -> None:
    """However requests of a client end, it can hold as many connections as before."""

    async def one() -> None:
        async with connected(around.port) as client:
            await _ends_by(around, kind, client, OLD)
            _reset(client)

    await asyncio.gather(*(one() for _ in range(ALONE)))
    around.forget()
    async with held(around, OTHER, ALONE), held(around, OLD, QUARTER):
        assert 503 == (await _asked(around, OLD)).status
    assert 200 == (await _asked(around, OLD)).status


async def test_those_that_gave_up_waiting_hold_nothing(around: World) -> None:
    """A client over its share that leaves, or is refused, is not counted for what it waited for."""
    async with held(around, OLD, ALONE):
        async with AsyncExitStack() as stack:
            for _ in range(20):
                client = await stack.enter_async_context(connected(around.port))
                await client.send(head("/public/x", OLD))
            refused = await _asked(around, OLD)
            assert (503, "upstream_busy") == (refused.status, refused.code)
        async with held(around, OTHER, QUARTER):
            assert 503 == (await _asked(around, THIRD)).status
    async with held(around, OTHER, ALONE), held(around, OLD, QUARTER):
        pass


async def test_a_client_that_holds_all_it_can_keeps_no_other_out(around: World) -> None:
    """The last quarter is for the others; a flood that waits is in no other client's way."""
    async with held(around, OLD, ALONE), AsyncExitStack() as stack:
        for _ in range(50):
            client = await stack.enter_async_context(connected(around.port))
            await client.send(head("/public/x", OLD))
        for _ in range(5):
            assert 200 == (await _asked(around, OTHER)).status


async def _asked(around: World, client: str) -> Answer:
    async with connected(around.port) as one:
        return await (await one.send(head("/public/x", client))).answer()
