"""WebSockets over TLS: the same as without, and the end reaches the client too."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.fakes.certificates import Authority
from tests.fakes.http import connected
from tests.fakes.sockets import echoing
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world
from tests.journey.test_upgrades import NOW_CHAT, TO_CHAT, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = """
  - {name: open, match: {path: "/open/*"}, auth: none, upstream: echo}
  - {name: socket, match: {path: "/socket/*"}, upstream: echo}
  - {name: chat, match: {path: "/chat/*"}, auth: none, upgrades: [chat/2], upstream: app}
"""

House = tuple[World, ssl.SSLContext]


@asynccontextmanager
async def with_tls(folder: Path) -> AsyncIterator[House]:
    """A gateway with TLS before an app without, and a client's trust in it."""
    authority = Authority(folder, "ca")
    pair = authority.issue("localhost", file="server")
    async with (
        echoing() as echo,
        world(
            folder,
            more_server=f"  tls: {{certificate: {pair.certificate}, key: {pair.key}}}\n",
            more_upstreams=f'  echo: {{servers: ["http://127.0.0.1:{echo}"]}}',
            more_routes=ROUTES,
        ) as running,
    ):
        yield running, ssl.create_default_context(cafile=authority.file)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One gateway for the tests that do not end it."""
    async with with_tls(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def around(house: House) -> World:
    """The world, as new."""
    house[0].forget()
    return house[0]


@pytest.fixture
def trust(house: House) -> ssl.SSLContext:
    """What the client believes."""
    return house[1]


def opened(around: World, path: str, trust: ssl.SSLContext) -> connect:
    """A WebSocket."""
    return connect(
        f"wss://localhost:{around.port}{path}",
        host="127.0.0.1",
        ssl=trust,
        max_size=None,
        ping_interval=None,
        origin=Origin("http://localhost"),
    )


async def test_messages_pass(around: World, trust: ssl.SSLContext) -> None:
    """Short and long, and the closing handshake."""
    async with opened(around, "/open/x", trust) as socket:
        for message in ("hi", b"y" * (16 << 20), ""):
            await socket.send(message)
            assert message == await asyncio.wait_for(socket.recv(), 20)
        await socket.close(4003)
        assert 4003 == socket.close_code


async def test_an_app_that_dies_ends_it(around: World, trust: ssl.SSLContext) -> None:
    """Without half-closed connections, one end is the end of both."""

    async def dies(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NOW_CHAT + b"x" * 1_000_000)
        await writer.drain()

    around.app.streams["/chat/x"] = dies
    async with connected(around.port, trust, "localhost") as client:
        await client.send(request("/chat/x", *TO_CHAT))
        async with asyncio.timeout(20):
            await client.reader.readuntil(b"\r\n\r\n")
            with suppress(ConnectionResetError):
                await client.reader.read()


async def test_a_client_that_leaves_ends_it(around: World, trust: ssl.SSLContext) -> None:
    """The app hears the end, after all that was said."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    words = b"early" + b"x" * 3_000_000

    async def hears(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NOW_CHAT)
        heard.set_result(await reader.read())

    around.app.streams["/chat/x"] = hears
    async with connected(around.port, trust, "localhost") as client:
        await client.send(request("/chat/x", *TO_CHAT) + words[:5])
        async with asyncio.timeout(20):
            await client.reader.readuntil(b"\r\n\r\n")
        client.writer.write(words[5:])
        client.writer.close()
        assert words == await asyncio.wait_for(heard, 20)


async def test_drained_clients_are_told(tmp_path: Path) -> None:
    """1001 comes through before TLS says goodbye."""
    async with (
        with_tls(tmp_path) as (around, trust),
        opened(around, "/open/x", trust) as socket,
    ):
        await socket.send("hi")
        assert "hi" == await socket.recv()
        around.gateway.process.terminate()
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(socket.recv(), 20)
        assert caught.value.rcvd is not None
        assert 1001 == caught.value.rcvd.code
        assert 0 == await asyncio.wait_for(around.gateway.process.wait(), 20)
