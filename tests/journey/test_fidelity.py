"""What goes in comes out: the gateway adds nothing, repairs nothing, waits for nothing."""

import asyncio
import gzip

import pytest

from tests.fakes.http import RawClient, connected
from tests.fakes.upstream import Seen
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"app_timeouts": "{connect: 1s, response: 2s, idle: 1s}"}

WITHIN_S = 20
PATH = "/public/f"
GET = b"GET /public/f HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def _without_ours(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [field for field in headers if field[0] not in ("X-Request-Id", "Date")]


# --- fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "Date: Tue, 15 Nov 1994 08:12:31 GMT",
        "Content-Encoding: br",
        'ETag: W/"x"',
        "Last-Modified: Tue, 15 Nov 1994 08:12:31 GMT",
        "Accept-Ranges: bytes",
        "Vary: Accept-Encoding, Cookie",
        "Cache-Control: no-transform",
        "Content-Type: text/html; charset=latin-1",
        "Server: app/1.0",
        "Retry-After: 120",
        "Location: /somewhere else",
        "WWW-Authenticate: Basic realm=x",
        "Link: </a>; rel=preload, </b>",
        "Alt-Svc: clear",
        "Age: 5",
        "Via: 1.1 other",
        "X-odd_Name!#$%&'*+.^`|~: v",
    ],
)
async def test_a_field_of_an_answer_stays_as_it_is(line: str, around: World) -> None:
    """Name, case and value, and there is no second one beside it."""
    around.app.answer(PATH, f"HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 0\r\n\r\n".encode())
    name, _, value = line.partition(": ")
    answer = await around.get(PATH)
    expected = [field for field in ((name, value), ("Content-Length", "0")) if field[0] != "Date"]
    assert expected == _without_ours(answer.headers)
    dates = [sent for sent_name, sent in answer.headers if sent_name == "Date"]
    assert 1 == len(dates)
    assert name != "Date" or [value] == dates


@pytest.mark.parametrize(
    "line",
    [
        "Accept-Encoding: gzip, br;q=0.5",
        "Range: bytes=0-4",
        'If-Range: "x"',
        "If-None-Match: *",
        "If-Modified-Since: Tue, 15 Nov 1994 08:12:31 GMT",
        "Authorization: Basic dTpw",
        "User-Agent: (odd) /1",
        "Accept: text/event-stream",
        "Cookie: a=b; c=d",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Content-Type: application/grpc",
        "Content-Encoding: gzip",
        "Origin: null",
        "Referer: http://x/y?z",
        "Cache-Control: no-cache",
        "Accept-Language: de,en;q=0.5",
    ],
)
async def test_a_field_of_a_request_stays_as_it_is(line: str, around: World) -> None:
    """The app decides about it, not the gateway."""
    name, _, value = line.partition(": ")
    await around.get(PATH, line)
    assert [value] == around.app.seen[0].values(name)


async def test_a_range(around: World) -> None:
    """206 and its Content-Range pass."""
    around.app.answer(
        PATH,
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\n"
        b"Content-Length: 5\r\n\r\nhello",
    )
    answer = await around.get(PATH, "Range: bytes=0-4", 'If-Range: "x"')
    assert (206, "bytes 0-4/9", b"hello") == (
        answer.status,
        answer.value("Content-Range"),
        answer.body,
    )


async def test_nothing_is_decompressed(around: World) -> None:
    """Compressed bytes pass as they are, in either direction."""
    packed = gzip.compress(b"hello" * 1000)
    around.app.answer(
        PATH,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        + packed,
    )
    async with connected(around.port) as client:
        await client.send(
            b"POST /public/f HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
            b"Content-Length: %d\r\n\r\n" % len(packed) + packed
        )
        answer = await client.answer()
    assert (packed, packed) == (around.app.seen[0].body, answer.body)
    assert "gzip" == answer.value("Content-Encoding")


# --- interim answers ---------------------------------------------------------------------------


async def test_interim_answers_keep_their_fields_and_order(around: World) -> None:
    """Hints come before the answer, each with its own fields."""
    first = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
    second = b"HTTP/1.1 103 Early Hints\r\nx-More: 1\r\n\r\n"
    around.app.answer(PATH, first + second + HELLO)
    async with connected(around.port) as client:
        await client.send(GET)
        assert first + second == await client.reader.readexactly(len(first + second))
        assert b"hello" == (await client.answer()).body


async def test_an_old_client_gets_no_interim_answer(around: World) -> None:
    """HTTP/1.0 knows none (RFC 9110 section 15.2)."""
    around.app.answer(PATH, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HELLO)
    async with connected(around.port) as client:
        await client.send(b"GET /public/f HTTP/1.0\r\n\r\n")
        assert b"HTTP/1.1 200 OK\r\n" == await client.reader.readline()


# --- at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"Transfer-Encoding: chunked\r\n", b""])
async def test_events_pass_one_by_one(head: bytes, around: World) -> None:
    """Each is there before the next is made, in chunks or until the connection closes."""
    turns = asyncio.Queue[bytes]()

    async def tell(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + head + b"\r\n")
        while event := await turns.get():
            writer.write(b"%x\r\n%b\r\n" % (len(event), event) if head else event)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if head else b"")
        await writer.drain()

    around.app.streams[PATH] = tell
    async with connected(around.port) as client, asyncio.timeout(WITHIN_S):
        await client.send(GET)
        await client.reader.readuntil(b"\r\n\r\n")
        for number in range(20):
            event = b"data: %d\n\n" % number
            turns.put_nowait(event)
            await client.reader.readuntil(event)
        turns.put_nowait(b"")
        await client.reader.readuntil(b"0\r\n\r\n")


async def test_a_stream_may_last_longer_than_it_may_rest(around: World) -> None:
    """The time-out is for silence, not for the whole."""

    async def tick(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _number in range(20):
            writer.write(b"1\r\n.\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)  # together twice the second that a silence may last
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    around.app.streams[PATH] = tick
    answer = await around.get(PATH)
    assert (b"." * 20, True) == (answer.body, answer.is_complete)


async def test_silence_breaks_a_stream(around: World) -> None:
    """What has rested too long is cut off, and looks cut off."""

    async def stop(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n.\r\n")
        await writer.drain()
        await reader.read()

    around.app.streams[PATH] = stop
    answer = await around.get(PATH)
    assert (b".", False) == (answer.body, answer.is_complete)


async def test_both_bodies_at_once(around: World) -> None:
    """The app answers while the request still comes: each part comes back before the next goes."""

    async def echo(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _number in range(5):
            writer.write(b"1\r\n" + await reader.readexactly(1) + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    around.app.streams[PATH] = echo
    async with connected(around.port) as client, asyncio.timeout(WITHIN_S):
        await client.send(b"POST /public/f HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        for letter in b"hello":
            await client.send(bytes([letter]))
            await client.reader.readuntil(bytes([letter]) + b"\r\n")
        await client.reader.readuntil(b"0\r\n\r\n")


# --- ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(GET, id="get"),
        pytest.param(GET.replace(b"1.1", b"1.0"), id="old"),
        pytest.param(
            b"POST /public/f HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok", id="length"
        ),
        pytest.param(
            b"POST /public/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\n\r\n",
            id="chunked",
        ),
    ],
)
async def test_a_client_that_has_said_all(request_: bytes, around: World) -> None:
    """It closes its sending side and still gets its answer, whole."""

    async def wait(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)  # so that the end has certainly come before
        writer.write(HELLO)
        await writer.drain()

    around.app.answers[PATH] = wait
    async with connected(around.port) as client:
        await client.send(request_)
        client.writer.write_eof()
        answer = await client.answer()
        assert (200, b"hello", True) == (answer.status, answer.body, answer.is_complete)
        assert await client.is_closed()


async def test_pipelined_requests_of_a_client_that_has_said_all(around: World) -> None:
    """All of them are answered."""
    async with connected(around.port) as client:
        await client.send(GET * 5)
        client.writer.write_eof()
        assert [200] * 5 == [(await client.answer()).status for _ in range(5)]
        assert await client.is_closed()


async def test_an_app_that_closes_after_its_answer(around: World) -> None:
    """Its Connection: close is about its own connection: the client's goes on."""
    around.app.answer(
        PATH,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        then_close=True,
    )
    async with connected(around.port) as client:
        for _ in range(3):
            answer = await (await client.send(GET)).answer()
            assert (200, []) == (answer.status, answer.values("Connection"))


async def test_a_client_that_wants_to_close(around: World) -> None:
    """Its Connection: close is about its own connection: the app's goes on."""
    await around.get("/public/x")
    before = around.app.connections
    for _ in range(3):
        async with connected(around.port) as client:
            await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert 200 == (await client.answer()).status
            assert await client.is_closed()
    assert before == around.app.connections


async def test_an_old_app(around: World) -> None:
    """An app of HTTP/1.0 that closes is read to its end."""
    around.app.answer(PATH, b"HTTP/1.0 200 OK\r\n\r\nhello", then_close=True)
    async with connected(around.port) as client:
        for _ in range(2):
            assert b"hello" == (await (await client.send(GET)).answer()).body


async def test_head_then_get_on_one_connection(around: World) -> None:
    """The length of a HEAD is no body: the next answer begins right behind it."""

    async def both(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO[:-5] if seen.method == "HEAD" else HELLO)
        await writer.drain()

    around.app.answers[PATH] = both
    async with connected(around.port) as client:
        for _ in range(3):
            await client.send(GET.replace(b"GET", b"HEAD"))
            head = await client.answer("HEAD")
            assert ("5", b"") == (head.value("Content-Length"), head.body)
            assert b"hello" == (await (await client.send(GET)).answer()).body


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_bodies_of_all_sizes(size: int, is_chunked: bool, around: World) -> None:
    """They arrive octet by octet as they were sent, in both directions."""
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + _framed(seen.body, is_chunked=is_chunked))
        await writer.drain()

    around.app.answers[PATH] = echo
    async with connected(around.port) as client:
        await _post(client, body, is_chunked=is_chunked)
        answer = await client.answer()
    assert around.app.seen[0].body == body
    assert answer.body == body


async def _post(client: RawClient, body: bytes, *, is_chunked: bool) -> None:
    head = b"POST /public/f HTTP/1.1\r\nHost: x\r\n"
    await client.send(head + _framed(body, is_chunked=is_chunked))


def _framed(body: bytes, *, is_chunked: bool) -> bytes:
    if not is_chunked:
        return b"Content-Length: %d\r\n\r\n" % len(body) + body
    parts = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    chunks = b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
