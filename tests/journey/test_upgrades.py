"""Upgrades, byte for byte: what both sides send, and what neither may make of it."""

import asyncio
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.http import RawClient, connected, fetch
from tests.fakes.servers import eventually
from tests.fakes.timing import Stopwatch, at_best_of
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = """
  - {name: chat, match: {path: "/chat/*"}, auth: none, upgrades: [chat/2], upstream: app}
  - {name: private-chat, match: {path: "/private-chat/*"}, upgrades: [chat/2], upstream: app}
"""

CONFIG_CHANGES = {
    "more_routes": ROUTES,
    "app_timeouts": "{response: 60s, idle: 60s}",
    "timeouts": "{drain: 1s}",
    "connections": "2",
    "max": "{tunnels: 5}",
}

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

TO_WEBSOCKET = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)
TO_CHAT = ("Upgrade: Chat/2", "Connection: upgrade")
NOW_WEBSOCKET = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n"
)
NOW_CHAT = b"HTTP/1.1 101 Chat away\r\nUpgrade: chat/2\r\nConnection: upgrade\r\nX-Room: 7\r\n\r\n"
SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

Handler = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def request(path: str, *fields: str, line: str = "GET {} HTTP/1.1") -> bytes:
    """A request head."""
    return "\r\n".join([line.format(path), "Host: localhost", *fields, "", ""]).encode()


def says(answer: bytes) -> Handler:
    """An app that answers so, then sends back what it reads, and its end."""

    async def echo(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"|end")
        writer.write_eof()

    return echo


async def head(client: RawClient) -> bytes:
    """The head of the answer that begins the tunnel."""
    async with asyncio.timeout(20):
        return await client.reader.readuntil(b"\r\n\r\n")


async def exactly(client: RawClient, data: bytes) -> None:
    """These bytes come."""
    async with asyncio.timeout(20):
        assert data == await client.reader.readexactly(len(data))


async def rest(client: RawClient) -> bytes:
    """All that comes until the end."""
    async with asyncio.timeout(20):
        return await client.reader.read()


# --- what is asked -----------------------------------------------------------------------------


async def test_the_app_sees_the_handshake(around: World) -> None:
    """What concerns the protocol as the client wrote it, what concerns the hop written by us."""
    around.app.streams["/public/x"] = says(NOW_WEBSOCKET)
    async with connected(around.port) as client:
        fields = (*TO_WEBSOCKET, "Sec-WebSocket-Extensions: a;b=1", "HTTP2-Settings: AAMAAABk")
        await client.send(request("/public/x", *fields))
        answer = await head(client)
    seen = around.app.seen[0]
    assert ["websocket"] == seen.values("Upgrade")
    assert ["Upgrade"] == seen.values("Connection")
    assert [KEY] == seen.values("Sec-WebSocket-Key")
    assert ["a;b=1"] == seen.values("Sec-WebSocket-Extensions")
    assert [] == seen.values("HTTP2-Settings")
    assert b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n" in answer
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in answer
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nX-Request-Id: " in answer


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        pytest.param(
            request("/public/x", *TO_WEBSOCKET, line="POST {} HTTP/1.1"),
            501,
            "unsupported_upgrade",
            id="POST",
        ),
        pytest.param(
            request("/public/x", *TO_WEBSOCKET, line="GET {} HTTP/1.0"),
            501,
            "unsupported_upgrade",
            id="HTTP/1.0",
        ),
        pytest.param(
            request("/public/x", *TO_WEBSOCKET, "Content-Length: 0"), 400, "bad_request", id="body"
        ),
        pytest.param(
            request("/public/x", *TO_WEBSOCKET, "Content-Length: 5") + b"hello",
            400,
            "bad_request",
            id="real-body",
        ),
        pytest.param(
            request("/public/x", *TO_WEBSOCKET, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
            400,
            "bad_request",
            id="chunked",
        ),
        pytest.param(request("/public/x", *TO_WEBSOCKET[:2]), 400, "bad_request", id="no-key"),
        pytest.param(
            request("/public/x", *TO_WEBSOCKET[:3], "Sec-WebSocket-Version: 8"),
            426,
            "wrong_websocket_version",
            id="version",
        ),
        pytest.param(
            request("/public/x", *TO_WEBSOCKET, "Upgrade: h2c"),
            501,
            "unsupported_upgrade",
            id="two-protocols",
        ),
        pytest.param(
            request("/chat/x", *TO_WEBSOCKET), 501, "unsupported_upgrade", id="websocket-not-listed"
        ),
        pytest.param(
            request("/private-chat/x", *TO_CHAT), 401, "unauthenticated", id="no-credential"
        ),
        pytest.param(request("/_gateway/x", *TO_WEBSOCKET), 501, "unsupported_upgrade", id="pages"),
    ],
)
async def test_what_is_refused_ends_there(
    around: World, head: bytes, status: int, code: str
) -> None:
    """The app hears nothing of it, and what comes after is never read as a request."""
    async with connected(around.port) as client:
        await client.send(head + SMUGGLED)
        answer = await client.answer()
        assert (status, code) == (answer.status, answer.code)
        assert "close" in ", ".join(answer.values("Connection"))
        assert await client.is_closed()
    assert b"" == around.app.raw


async def test_without_connection_it_is_an_ordinary_request(around: World) -> None:
    """``Upgrade`` alone means nothing (RFC 9110 section 7.8), and is not passed on."""
    async with connected(around.port) as client:
        await client.send(request("/public/x", "Upgrade: websocket"))
        assert 200 == (await client.answer()).status
        await client.send(request("/public/y"))
        assert 200 == (await client.answer()).status
    assert [] == around.app.seen[0].values("Upgrade")


TO_H2 = ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk")


@pytest.mark.parametrize("fields", [TO_H2, TO_CHAT], ids=["h2c", "not-listed"])
async def test_an_upgrade_that_the_route_does_not_list_is_ignored(
    around: World, fields: tuple[str, ...]
) -> None:
    """It is answered over HTTP/1.1, the app hears nothing of it, and the connection goes on."""
    async with connected(around.port) as client:
        for _ in range(2):
            await client.send(request("/public/x", *fields) + request("/public/y"))
            for _ in range(2):
                answer = await client.answer()
                assert (200, []) == (answer.status, answer.values("Connection"))
    assert ["/public/x", "/public/y"] * 2 == [seen.target for seen in around.app.seen]
    for name in ("Upgrade", "Connection", "HTTP2-Settings"):
        assert [] == [value for seen in around.app.seen for value in seen.values(name)]


async def test_a_client_that_leaves_is_noticed_where_its_upgrade_was_ignored(around: World) -> None:
    """The app hears it at once, also where the request is the client's last."""

    async def hang(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read()

    around.app.streams["/public/x"] = hang
    async with connected(around.port) as client:
        await client.send(request("/public/x", "Connection: close", *TO_H2))
        await asyncio.wait_for(around.app.arrived.wait(), 20)
        _reset(client.writer.get_extra_info("socket"))
        client.writer.transport.abort()
        await asyncio.wait_for(around.app.lost.wait(), 20)  # it has a minute to answer


async def test_a_switch_that_was_not_passed_on_is_refused(around: World) -> None:
    """An app that agrees to an upgrade which it was not asked for is answered for with 502."""
    around.app.streams["/public/x"] = says(NOW_CHAT)
    async with connected(around.port) as client:
        await client.send(request("/public/x", *TO_CHAT) + SMUGGLED)
        answer = await client.answer()
        assert (502, "bad_upstream_answer") == (answer.status, answer.code)


async def _held_back(around: World, before: bytes, answers: list[bytes], go: asyncio.Event) -> None:
    """Send a handshake behind ``before``, and more while the app has not agreed to it."""

    async def late(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.wait_for(agreed.wait(), 20)
        writer.write(NOW_WEBSOCKET)
        while data := await reader.read(100):
            writer.write(data)

    agreed = asyncio.Event()
    around.app.streams["/public/x"] = late
    async with connected(around.port) as client, connected(around.port) as other:
        await client.send(before + request("/public/x", *TO_WEBSOCKET) + b"one")
        go.set()
        assert answers == [(await client.answer()).body for _ in answers]
        await client.send(b"two")
        for _ in range(2):  # by then the gateway has read what it reads
            assert 200 == (await (await other.send(request("/public/z"))).answer()).status
        agreed.set()
        client.reader._buffer[:0] = client._rest  # type: ignore[attr-defined]
        assert (await head(client)).startswith(b"HTTP/1.1 101 ")
        await exactly(client, b"onetwo")


async def test_a_websocket_behind_an_upgrade_that_is_ignored(around: World) -> None:
    """What comes with the handshake, or before it is answered, is for the tunnel."""
    await _held_back(around, request("/public/y", *TO_H2), [b"hello"], asyncio.Event())


async def test_a_websocket_behind_a_full_queue(around: World) -> None:
    """The same holds where the handshake had to wait until others were served."""

    async def slow(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.wait_for(go.wait(), 20)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    go = asyncio.Event()
    around.app.answers["/public/slow"] = slow
    before = request("/public/slow") + request("/public/y") * 15
    await _held_back(around, before, [b"slow"] + [b"hello"] * 15, go)


# --- what is answered --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(NOW_WEBSOCKET.replace(b"websocket", b"h2c"), id="another-protocol"),
        pytest.param(NOW_WEBSOCKET.replace(b"s3pP", b"S3pP"), id="wrong-accept"),
        pytest.param(NOW_WEBSOCKET.replace(b"Connection: Upgrade\r\n", b""), id="no-connection"),
        pytest.param(NOW_WEBSOCKET.replace(b"Upgrade: websocket\r\n", b""), id="no-protocol"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="bare"),
        pytest.param(NOW_WEBSOCKET[:-2] + b"Content-Length: 5\r\n\r\nhello", id="body"),
    ],
)
async def test_a_101_that_does_not_answer(around: World, answer: bytes) -> None:
    """502: an app that does not know what it has agreed to has agreed to nothing."""
    around.app.streams["/public/x"] = says(answer)
    async with connected(around.port) as client:
        await client.send(request("/public/x", *TO_WEBSOCKET) + SMUGGLED)
        refused = await client.answer()
        assert (502, "bad_upstream_answer") == (refused.status, refused.code)
        assert await client.is_closed()
    await asyncio.wait_for(around.app.lost.wait(), 20)
    assert SMUGGLED not in around.app.raw


async def test_an_unsolicited_101(around: World) -> None:
    """502, and the connection to the app is not used again."""
    around.app.streams["/public/x"] = says(NOW_WEBSOCKET + b"HTTP/1.1 200 OK\r\n\r\n")
    answer = await around.get("/public/x")
    assert (502, "bad_upstream_answer") == (answer.status, answer.code)
    await asyncio.wait_for(around.app.lost.wait(), 20)


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
        (
            b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            404,
            b"no",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nby-closing", 403, b"by-closing"),
    ],
    ids=["length", "chunked", "until-close"],
)
async def test_an_app_that_does_not_want_to(
    around: World, raw: bytes, status: int, body: bytes
) -> None:
    """
    Its answer is passed on like any, and the connection closes: CVE-2026-69243.

    What the client sent early, as if the WebSocket were open, is discarded.
    """
    around.app.answer("/public/x", raw, then_close=True)
    async with connected(around.port) as client:
        await client.send(request("/public/x", *TO_WEBSOCKET) + SMUGGLED)
        answer = await client.answer()
        assert (status, body, True) == (answer.status, answer.body, answer.is_complete)
        await client.send(SMUGGLED)
        assert await client.is_closed()
    assert ["/public/x"] == [seen.target for seen in around.app.seen]
    assert SMUGGLED not in around.app.raw


async def test_hints_come_before_the_switch(around: World) -> None:
    """1xx answers are passed on as ever."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    around.app.streams["/public/x"] = says(hint + NOW_WEBSOCKET)
    async with connected(around.port) as client:
        await client.send(request("/public/x", *TO_WEBSOCKET))
        assert (await head(client)).startswith(b"HTTP/1.1 103 ")
        assert (await head(client)).startswith(b"HTTP/1.1 101 ")


# --- what it carries ---------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["websocket", "chat"])
@pytest.mark.parametrize("is_glued", [True, False])
async def test_early_bytes_wait_for_the_app(around: World, token: str, is_glued: bool) -> None:
    """
    What follows the request at once is for the app alone, when it has agreed.

    Also what the app says right after its 101.
    """
    path, fields, now = {
        "websocket": ("/public/x", TO_WEBSOCKET, NOW_WEBSOCKET),
        "chat": ("/chat/x", TO_CHAT, NOW_CHAT),
    }[token]
    agreed, before = asyncio.Event(), bytearray()

    async def late(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading = asyncio.ensure_future(reader.read(1000))
        await asyncio.wait([reading], timeout=0.2)
        before.extend(b"early!" if reading.done() else b"")
        await agreed.wait()
        writer.write(now + b"welcome ")
        writer.write(await reading)
        await reader.read()

    around.app.streams[path] = late
    async with connected(around.port) as client:
        opening = request(path, *fields)
        if is_glued:
            await client.send(opening + SMUGGLED)
        else:
            await client.send(opening)
            await asyncio.wait_for(around.app.arrived.wait(), 20)
            await client.send(SMUGGLED)
        await asyncio.wait_for(around.app.arrived.wait(), 20)
        await asyncio.sleep(0.1)
        agreed.set()
        await head(client)
        await exactly(client, b"welcome " + SMUGGLED)
    assert not before
    assert [path] == [seen.target for seen in around.app.seen]


async def test_a_head_that_comes_byte_by_byte(around: World) -> None:
    """Its end is found all the same."""
    around.app.streams["/chat/x"] = says(NOW_CHAT)
    async with connected(around.port) as client:
        for byte in request("/chat/x", *TO_CHAT):
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await head(client)).startswith(b"HTTP/1.1 101 Chat away\r\n")
        await client.send(b"hello")
        await exactly(client, b"hello")


async def test_an_upgrade_after_requests_on_the_same_connection(around: World) -> None:
    """Pipelined behind one that takes long: its bytes are kept for their time."""

    async def slow(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    around.app.answers["/public/slow"] = slow
    around.app.streams["/public/x"] = says(NOW_WEBSOCKET)
    async with connected(around.port) as client:
        await client.send(request("/public/slow") + request("/public/x", *TO_WEBSOCKET) + b"one")
        await client.send(b"two")
        assert b"slow" == (await client.answer()).body
        client.reader._buffer[:0] = client._rest  # type: ignore[attr-defined]
        assert (await head(client)).startswith(b"HTTP/1.1 101 ")
        await exactly(client, b"onetwo")


async def test_each_side_may_stop_sending_first(around: World) -> None:
    """Half-close: the other is told, and what it still says arrives; then nothing is kept."""
    around.app.streams["/chat/x"] = says(NOW_CHAT)
    async with connected(around.port) as client:
        await client.send(request("/chat/x", *TO_CHAT) + b"hello")
        answer = await head(client)
        held = around.gateway.descriptors()
        assert b"X-Room: 7\r\n" in answer
        assert b"Connection: Upgrade\r\nUpgrade: Chat/2\r\n" in answer
        client.writer.write_eof()
        assert b"hello|end" == await rest(client)

        async def is_closed() -> bool:
            return around.gateway.descriptors() <= held - 2

        await eventually(is_closed, within_s=20)


async def test_the_app_may_stop_sending_first(around: World) -> None:
    """It still hears all that the client says."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listener(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NOW_CHAT + b"bye")
        writer.write_eof()
        heard.set_result(await reader.read())

    around.app.streams["/chat/x"] = listener
    async with connected(around.port) as client:
        await client.send(request("/chat/x", *TO_CHAT))
        await head(client)
        assert b"bye" == await rest(client)
        await client.send(b"x" * 3_000_000)
        client.writer.write_eof()
        assert 3_000_000 == len(await asyncio.wait_for(heard, 20))


# --- how it breaks -----------------------------------------------------------------------------


def _reset(sock: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("path", "fields", "now"),
    [("/chat/x", TO_CHAT, NOW_CHAT), ("/public/x", TO_WEBSOCKET, NOW_WEBSOCKET)],
    ids=["chat", "websocket"],
)
async def test_a_killed_app(around: World, path: str, fields: tuple[str, ...], now: bytes) -> None:
    """The client sees the end; where only that could tell, a reset and no clean one."""

    async def dies(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(now + b"last words")
        await writer.drain()
        await asyncio.sleep(0.1)
        _reset(writer.get_extra_info("socket"))
        writer.transport.abort()

    around.app.streams[path] = dies
    async with connected(around.port) as client:
        await client.send(request(path, *fields))
        await head(client)
        await exactly(client, b"last words")
        if now is NOW_CHAT:
            with pytest.raises(ConnectionResetError):
                await rest(client)
        else:
            assert b"" == await rest(client)


@pytest.mark.parametrize(
    ("path", "fields", "now"),
    [("/chat/x", TO_CHAT, NOW_CHAT), ("/public/x", TO_WEBSOCKET, NOW_WEBSOCKET)],
    ids=["chat", "websocket"],
)
async def test_a_killed_client(
    around: World, path: str, fields: tuple[str, ...], now: bytes
) -> None:
    """The app's connection is given up, and nothing is left of either."""
    ended = asyncio.Event()

    async def hears(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(now)
        try:
            while await reader.read(1000):
                pass
        except ConnectionResetError:
            pass
        ended.set()

    around.app.streams[path] = hears
    assert 200 == (await around.get("/public/warm")).status
    before = around.gateway.descriptors()
    async with connected(around.port) as client:
        await client.send(request(path, *fields))
        await head(client)
        _reset(client.writer.get_extra_info("socket"))
    await asyncio.wait_for(ended.wait(), 20)
    async with asyncio.timeout(20):
        while around.gateway.descriptors() > before:
            await asyncio.sleep(0.05)


@at_best_of(3)
async def test_a_session_that_ends_closes_other_protocols_too(around: World) -> None:
    """They have no word for it: the connection ends, within a second."""
    around.app.streams["/private-chat/x"] = says(NOW_CHAT)
    cookie = await around.sign_in()
    async with connected(around.port) as client:
        await client.send(request("/private-chat/x", *TO_CHAT, cookie, "Origin: http://localhost"))
        await head(client)
        with Stopwatch(1):
            answer = await fetch(
                around.port, "DELETE", "/_gateway/session", cookie, "Origin: http://localhost"
            )
            assert 204 == answer.status
            assert b"" == await rest(client)


async def test_a_close_frame_never_stands_inside_another(around: World) -> None:
    """A frame that is under way ends first, or is cut off; nothing of a next one follows."""
    go_on = asyncio.Event()

    async def talks(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NOW_WEBSOCKET + b"\x82\x05he")
        await go_on.wait()
        writer.write(b"llo\x82\x05never")
        await reader.read()

    around.app.streams["/socket/x"] = talks
    cookie = await around.sign_in()
    async with connected(around.port) as client:
        opening = request("/socket/x", *TO_WEBSOCKET, cookie, "Origin: http://localhost")
        await client.send(opening)
        await head(client)
        await exactly(client, b"\x82\x05he")
        await fetch(around.port, "DELETE", "/_gateway/session", cookie, "Origin: http://localhost")
        go_on.set()
        assert b"llo\x88\x0f\x03\xf0session ended" == await rest(client)

    go_on.clear()
    cookie = await around.sign_in()
    async with connected(around.port) as client:
        await client.send(request("/socket/x", *TO_WEBSOCKET, cookie, "Origin: http://localhost"))
        await head(client)
        await exactly(client, b"\x82\x05he")
        await fetch(around.port, "DELETE", "/_gateway/session", cookie, "Origin: http://localhost")
        assert b"" == await rest(client)


async def test_a_slow_reader_costs_no_memory(around: World) -> None:
    """The app is read only as fast as the client takes it; so is the client by the app."""
    sent = 0

    async def floods(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(NOW_CHAT)
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    around.app.streams["/chat/x"] = floods
    before = around.gateway.resident_bytes()
    clients = []
    for _ in range(4):
        reader, writer = await asyncio.open_connection("127.0.0.1", around.port, limit=1024)
        writer.write(request("/chat/x", *TO_CHAT))
        clients.append((reader, writer))
    last = -1
    async with asyncio.timeout(20):
        while sent != last:
            last = sent
            await asyncio.sleep(0.3)
    assert around.gateway.resident_bytes() - before < 16 << 20
    for _, writer in clients:
        writer.transport.abort()
    assert sent < 64 << 20


async def _all_left(around: World) -> None:
    """Wait until the places of earlier tests are free."""
    async with asyncio.timeout(20):
        while around.gateway.clients():
            await asyncio.sleep(0.02)


async def test_tunnels_leave_room_for_requests(around: World) -> None:
    """However many are open, the connections for requests are not theirs; one too many is 503."""
    await _all_left(around)
    around.app.streams["/chat/x"] = says(NOW_CHAT)
    clients = [await asyncio.open_connection("127.0.0.1", around.port) for _ in range(5)]
    for reader, writer in clients:
        writer.write(request("/chat/x", *TO_CHAT))
        async with asyncio.timeout(20):
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")

    answers = await asyncio.gather(*(around.get("/public/x") for _ in range(8)))
    assert {200} == {answer.status for answer in answers}
    one_more = await around.get("/chat/x", *TO_CHAT)
    assert (503, "overloaded") == (one_more.status, one_more.code)

    for _, writer in clients:
        writer.transport.abort()
    async with asyncio.timeout(20):
        while (await _first_line(around, "/chat/x", *TO_CHAT)) != b"HTTP/1.1 101 Chat away\r\n":
            await asyncio.sleep(0.05)


async def test_no_more_tunnels_than_may_be_however_they_come(around: World) -> None:
    """Those whose apps think at the same time are counted when these have thought."""
    await _all_left(around)
    think = asyncio.Event()

    async def slow(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await think.wait()
        writer.write(NOW_CHAT)
        await reader.read(1)

    around.app.streams["/chat/x"] = says(NOW_CHAT)
    around.app.streams["/chat/slow"] = slow
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(around.port)) for _ in range(6)]
        for client in clients[:4]:
            await client.send(request("/chat/x", *TO_CHAT))
            assert b" 101 " in await head(client)
        for client in clients[4:]:
            around.app.arrived.clear()
            await client.send(request("/chat/slow", *TO_CHAT))
            await asyncio.wait_for(around.app.arrived.wait(), 20)
        think.set()
        heads = sorted([await head(client) for client in clients[4:]])
    assert [b"HTTP/1.1 101", b"HTTP/1.1 503"] == [each[:12] for each in heads]


async def test_a_second_sigterm_ends_tunnels_at_once(tmp_path: Path) -> None:
    """Also where clients are gone, and apps do not take what they have said."""

    async def stuck(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NOW_CHAT)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a read transport
        await reader.read(-1)

    async with world(tmp_path, more_routes=ROUTES, timeouts="{drain: 60s}") as around:
        around.app.streams["/chat/x"] = stuck
        async with AsyncExitStack() as stack:
            for _ in range(3):
                client = await stack.enter_async_context(connected(around.port))
                client.writer.write(request("/chat/x", *TO_CHAT))
                assert b" 101 " in await head(client)
                client.writer.write(b"z" * (16 << 20))
                async with asyncio.timeout(20):
                    while (left := client.writer.transport.get_write_buffer_size()) > 15 << 20:
                        await asyncio.sleep(0.05)
                assert left
            process = around.gateway.process
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                while [line for line in around.gateway.log_lines() if "tunnel" in line] == []:
                    await asyncio.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                await process.wait()


async def _first_line(around: World, path: str, *fields: str) -> bytes:
    async with connected(around.port) as client:
        await client.send(request(path, *fields))
        return await client.reader.readline()
