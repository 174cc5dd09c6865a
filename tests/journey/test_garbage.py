"""
Closed connections are no garbage: the memory of each is free at once, without a collection.

GARBAGE_CONNECTIONS is how many are made of each kind.
"""

import asyncio
import base64
import hashlib
import os
import secrets
import signal
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

import pytest
import pytest_asyncio

from tests.fakes.certificates import Authority
from tests.fakes.free_port import closed_port
from tests.fakes.garbage import LAUNCHER, SAID
from tests.fakes.http import RawClient, connected
from tests.fakes.servers import eventually
from tests.fakes.upstream import Seen, Upstream
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONNECTIONS = int(os.environ.get("GARBAGE_CONNECTIONS", "100"))
AT_ONCE = 10
MOST_PER_CONNECTION = 0.1
"""Objects of garbage: what passes once, and not again with each connection, is allowed."""

BIG = 1 << 20
PER_CLIENT = 200
CROWD = "127.0.0.9"
RESET = struct.pack("ii", 1, 0)
WEBSOCKET = (
    b"GET /public/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: %s\r\n\r\n"
)
_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Kind = Callable[[RawClient], Awaitable[None]]


def get(path: str = "/public/x", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


# --- the app -----------------------------------------------------------------------------------


async def _dies(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _dies_amid(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def _breaks_chunk(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n")
    await writer.drain()


async def _never_answers(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await reader.read()


async def _streams(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


async def _socket(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    (key,) = seen.values("Sec-WebSocket-Key")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_SUFFIX).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81\x02hi"
    )
    if await reader.readexactly(1) == b"q":
        writer.close()
    await reader.read()


# --- the clients -------------------------------------------------------------------------------


async def answered(client: RawClient) -> None:
    await client.send(get())
    assert 200 == (await client.answer()).status


async def half_a_head(client: RawClient) -> None:
    await client.send(get()[:30])


async def no_request(client: RawClient) -> None:
    await client.send(b"nonsense\r\n\r\n")
    assert 400 == (await client.answer()).status


async def no_route(client: RawClient) -> None:
    await client.send(get("/"))
    assert 401 == (await client.answer()).status


async def several(client: RawClient) -> None:
    await client.send(get("/public/never") + get() * 5 + get("/" + "x" * 4000) * 3)


async def several_and_reset(client: RawClient) -> None:
    await several(client)
    reset(client)


async def half_a_body(client: RawClient) -> None:
    await client.send(get(method="POST")[:-2] + b"Content-Length: 100\r\n\r\nhalf")


async def half_a_body_and_reset(client: RawClient) -> None:
    await half_a_body(client)
    reset(client)


async def half_a_chunk(client: RawClient) -> None:
    await client.send(get(method="POST")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhal")


async def a_bad_chunk(client: RawClient) -> None:
    await half_a_chunk(client)
    await client.send(b"lozz\r\n")
    await client.reader.read()


async def chunks(client: RawClient) -> None:
    body = b"Transfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nX-Trailer: x\r\n\r\n"
    await client.send(get(method="POST")[:-2] + body)
    assert 200 == (await client.answer()).status


async def a_head_alone(client: RawClient) -> None:
    await client.send(get(method="HEAD"))
    assert 200 == (await client.answer("HEAD")).status


async def a_bad_token(client: RawClient) -> None:
    await client.send(get("/x")[:-2] + b"Authorization: Bearer bad\r\n\r\n")
    assert 401 == (await client.answer()).status


async def a_page(client: RawClient) -> None:
    await client.send(get("/_gateway/login"))
    assert 200 == (await client.answer()).status


async def not_reading(client: RawClient) -> None:
    await client.send(get("/public/big") * 4)
    await client.send(get("/public/never"))


async def leaving_amid(client: RawClient) -> None:
    await client.send(get("/public/stream"))
    await client.reader.readexactly(2000)
    reset(client)


async def dying_app(client: RawClient) -> None:
    await client.send(get("/public/dies"))
    assert 502 == (await client.answer()).status


async def app_dying_amid(client: RawClient) -> None:
    await client.send(get("/public/dies-amid"))
    answer = await client.answer()
    assert answer.status == 502 or not answer.is_complete


async def broken_chunk(client: RawClient) -> None:
    await client.send(get("/public/breaks-chunk"))
    answer = await client.answer()
    assert answer.status == 502 or not answer.is_complete


async def absent_app(client: RawClient) -> None:
    await client.send(get("/absent/x"))
    assert 502 == (await client.answer()).status


async def websocket(client: RawClient) -> None:
    await client.send(WEBSOCKET % base64.b64encode(secrets.token_bytes(16)))
    await client.reader.readuntil(b"\x81\x02hi")
    await client.send(b"x")


async def websocket_reset(client: RawClient) -> None:
    await websocket(client)
    reset(client)


async def websocket_of_leaving_app(client: RawClient) -> None:
    await client.send(WEBSOCKET % base64.b64encode(secrets.token_bytes(16)))
    await client.reader.readuntil(b"\x81\x02hi")
    await client.send(b"q")
    await client.reader.read()


def reset(client: RawClient) -> None:
    client.writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, RESET)


KINDS = [
    *(answered, a_page, a_head_alone, chunks, half_a_head, no_request, no_route, a_bad_token),
    *(several, several_and_reset, not_reading, leaving_amid),
    *(half_a_body, half_a_body_and_reset, half_a_chunk, a_bad_chunk),
    *(absent_app, dying_app, app_dying_amid, broken_chunk),
    *(websocket, websocket_reset, websocket_of_leaving_app),
]
TLS_KINDS = [
    *(answered, half_a_head, no_request, several, half_a_body, leaving_amid, dying_app),
    *(broken_chunk, websocket, websocket_reset, websocket_of_leaving_app),
]


# --- the gateway -------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A gateway that says what its collector finds."""
    async with _prepared(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def over_tls(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[World, ssl.SSLContext]]:
    """The same with TLS, and what its clients believe."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder, "ca")
    pair = authority.issue("localhost", file="server")
    tls = f"  tls: {{certificate: {pair.certificate}, key: {pair.key}}}\n"
    async with _prepared(folder, more_server=tls) as running:
        yield running, ssl.create_default_context(cafile=authority.file)


@asynccontextmanager
async def _prepared(folder: Path, **changes: str) -> AsyncIterator[World]:
    route = '  - {name: absent, match: {path: "/absent/*"}, auth: none, upstream: absent}\n'
    with closed_port() as port:
        async with world(
            folder,
            *LAUNCHER,
            max=f"{{connections_per_client: {PER_CLIENT}}}",
            more_upstreams=f'  absent: {{servers: ["http://127.0.0.1:{port}"]}}\n',
            more_routes=route,
            **changes,
        ) as running:
            _prepare(running.app)
            yield running


def _prepare(app: Upstream) -> None:
    app.answers["/public/dies"] = _dies
    app.answers["/public/dies-amid"] = _dies_amid
    app.answers["/public/breaks-chunk"] = _breaks_chunk
    app.answer("/public/big", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + bytes(BIG))
    app.streams["/public/never"] = _never_answers
    app.streams["/public/stream"] = _streams
    app.streams["/public/socket"] = _socket


async def found_garbage(around: World) -> tuple[int, str]:
    """What the collector has found since the last time, and of which types."""
    await eventually(lambda: _has_let_go(around), within_s=20)
    before = len(_reports(around))
    around.gateway.process.send_signal(signal.SIGUSR2)
    await eventually(lambda: _has_reported(around, before), within_s=20)
    number, _, kinds = _reports(around)[-1].partition(" ")
    return int(number), kinds


def _reports(around: World) -> list[str]:
    messages = around.gateway.messages
    return [each.removeprefix(SAID) for each in messages if each.startswith(SAID)]


async def _has_let_go(around: World) -> bool:
    return around.gateway.clients() == 0


async def _has_reported(around: World, before: int) -> bool:
    return len(_reports(around)) > before


async def repeated(times: int, once: Callable[[], Awaitable[None]]) -> None:
    """Do it so many times, some of them at once."""
    left = iter(range(times))

    async def some() -> None:
        for _ in left:
            await once()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())


async def assert_no_garbage(around: World, name: str, once: Callable[[], Awaitable[None]]) -> None:
    """Doing it many times leaves less to the collector than one object for ten times."""
    await repeated(2 * AT_ONCE, once)
    await found_garbage(around)
    await repeated(CONNECTIONS, once)
    found, kinds = await found_garbage(around)
    print(f"{name}: {found} objects of {CONNECTIONS} connections")  # noqa: T201
    assert found <= CONNECTIONS * MOST_PER_CONNECTION, kinds


# --- the tests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_a_closed_connection_is_no_garbage(around: World, kind: Kind) -> None:
    """However a connection ends, it leaves nothing to the collector."""

    async def once() -> None:
        async with connected(around.port) as client:
            await kind(client)

    await assert_no_garbage(around, kind.__name__, once)


@pytest.mark.parametrize("kind", TLS_KINDS)
async def test_a_connection_over_tls_is_no_garbage(
    over_tls: tuple[World, ssl.SSLContext], kind: Kind
) -> None:
    """TLS, and the connection before its handshake, leave nothing either."""
    around, trusting = over_tls

    async def once() -> None:
        async with connected(around.port, trusting) as client:
            await kind(client)

    await assert_no_garbage(around, f"{kind.__name__} over TLS", once)


@pytest.mark.parametrize(
    "hello", [b"GET / HTTP/1.1\r\n\r\n", b"\x16nonsense", b"\x16\x03\x01\x00\x05nonsense", b""]
)
async def test_a_failed_handshake_is_no_garbage(
    over_tls: tuple[World, ssl.SSLContext], hello: bytes
) -> None:
    """A client that does not get through the handshake leaves nothing."""
    around, _ = over_tls

    async def once() -> None:
        async with connected(around.port) as client:
            await client.send(hello)
            client.writer.write_eof()
            await client.reader.read()

    await assert_no_garbage(around, f"handshake {hello!r}", once)


async def test_a_refused_connection_is_no_garbage(around: World) -> None:
    """A connection beyond the cap of its client leaves nothing."""

    async def once() -> None:
        async with connected(around.port, source=CROWD) as client:
            assert 503 == (await client.answer()).status

    await found_garbage(around)  # of the start, and of other tests
    async with AsyncExitStack() as crowd:
        for _ in range(PER_CLIENT):
            client = await crowd.enter_async_context(connected(around.port, source=CROWD))
            await client.send(get())
            assert 200 == (await client.answer()).status  # now it has its place
        await repeated(CONNECTIONS, once)
    found, kinds = await found_garbage(around)
    print(f"refused: {found} objects of {CONNECTIONS} connections")  # noqa: T201
    assert found <= CONNECTIONS * MOST_PER_CONNECTION, kinds


async def test_a_proxied_connection_is_no_garbage(tmp_path: Path) -> None:
    """A connection behind a PROXY header leaves nothing, whether it is accepted or not."""
    changes = {"client_ip": "proxy-protocol", "trusted_proxies": "[127.0.0.1/32]"}
    async with _prepared(tmp_path, **changes) as around:

        async def once() -> None:
            async with connected(around.port) as client:
                await client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get())
                assert 200 == (await client.answer()).status
            async with connected(around.port) as client:
                await client.send(b"PROXY nonsense\r\n")
                assert await client.is_closed()

        await assert_no_garbage(around, "proxied", once)


async def test_a_config_that_is_replaced_is_no_garbage(tmp_path: Path) -> None:
    """
    A reload frees the config before it, with its caches, its pages and its upstreams.

    What libraries do once, whenever that is, is told from what each reload leaves.
    """
    async with _prepared(tmp_path) as around:
        text = around.gateway.config.read_text()
        found = []
        for number in range(4):
            around.gateway.messages.clear()
            route = f"  - {{name: extra, match: {{path: /{number}}}, auth: none, upstream: app}}\n"
            around.gateway.config.write_text(text + route)
            around.gateway.process.send_signal(signal.SIGHUP)
            await eventually(partial(_answers, around, f"/{number}"), within_s=20)
            await _use(around)
            await around.gateway.said("config reloaded")
            found.append(await found_garbage(around))
        print(f"replaced: {found} objects")  # noqa: T201
        assert (0, "[]") in found


async def _answers(around: World, path: str) -> bool:
    return (await around.get(path)).status == 200


async def _use(around: World) -> None:
    """Fill the caches of the config."""
    cookie = await around.sign_in()
    for path in ("/x", "/public/x", "/_gateway/login", "/_gateway/session"):
        assert (await around.get(path, cookie)).status in {200, 303}
