"""What passes through, byte for byte, and what happens when one side fails."""

import asyncio
import socket
import struct
from contextlib import suppress

import h11
import pytest

from tests.fakes.http import RawClient, connected, fetch
from tests.fakes.servers import eventually
from tests.fakes.upstream import Seen
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "max": "{body: 1MiB, head_bytes: 4KiB, fields: 20}",
    "connections": "2",
    "timeouts": "{half_closed: 1s}",
}

GET = b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\n"


# --- requests ----------------------------------------------------------------------------------


async def test_fields_keep_case_order_and_repetition(around: World) -> None:
    """What is not the gateway's business arrives as it was sent."""
    await around.get("/public/x", "X-b: 2", "x-A: 1", "X-b: 3", "Accept-Encoding: gzip, br")

    (seen,) = around.app.seen
    sent = [field for field in seen.headers if field[0].lower() in {"x-a", "x-b"}]
    assert [("X-b", "2"), ("x-A", "1"), ("X-b", "3")] == sent
    assert ["gzip, br"] == seen.values("Accept-Encoding")


async def test_what_the_gateway_writes(around: World) -> None:
    """The app reads who asked, how, for which host, and under which id to look it up."""
    await around.get("/public/x", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")

    (seen,) = around.app.seen
    assert ["localhost"] == seen.values("Host")
    assert ["127.0.0.1"] == seen.values("X-Forwarded-For")
    assert ["http"] == seen.values("X-Forwarded-Proto")
    assert ["localhost"] == seen.values("X-Forwarded-Host")
    assert ["1.1 gateway"] == seen.values("Via")
    assert 16 == len(seen.values("X-Request-Id")[0])


async def test_a_body_with_a_length(around: World) -> None:
    """It arrives whole, with its length."""
    await fetch(around.port, "POST", "/public/x", body=b"abc" * 1000)

    (seen,) = around.app.seen
    assert b"abc" * 1000 == seen.body
    assert ["3000"] == seen.values("Content-Length")


async def test_a_chunked_body(around: World) -> None:
    """It arrives whole, still chunked; extensions end at the gateway."""
    async with connected(around.port) as client:
        await client.send(
            b"POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;a=forged\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        assert 200 == (await client.answer()).status
        await client.send(GET)
        assert 200 == (await client.answer()).status

    assert b"abcde" == around.app.seen[0].body
    assert ["chunked"] == around.app.seen[0].values("Transfer-Encoding")
    assert b"forged" not in around.app.raw


async def test_an_empty_post_keeps_its_length(around: World) -> None:
    """Content-Length: 0 says that there is no body, and is said again."""
    await fetch(around.port, "POST", "/public/x", "Content-Length: 0")

    assert ["0"] == around.app.seen[0].values("Content-Length")


async def test_a_body_passes_before_it_is_complete(around: World) -> None:
    """After a second, the app reads the first part while the client has not sent the rest."""
    first = asyncio.Event()

    async def read(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(10)
        first.set()
        await reader.readexactly(10)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    around.app.streams["/public/s"] = read
    async with connected(around.port) as client:
        await client.send(b"POST /public/s HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n")
        await around.app.arrived.wait()
        await client.send(b"0123456789")
        await asyncio.wait_for(first.wait(), 20)
        await client.send(b"0123456789")
        assert 200 == (await client.answer()).status


async def test_expect_100_continue(around: World) -> None:
    """Where the body may be long, the app's 100 is passed on, and then the body goes through."""

    async def invite(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        assert ["100-continue"] == seen.values("Expect")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"5\r\nhello\r\n0\r\n\r\n" == await reader.readexactly(15)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    around.app.streams["/public/e"] = invite
    async with connected(around.port) as client:
        await client.send(
            b"POST /public/e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert 100 == await client.interim()
        await client.send(b"5\r\nhello\r\n0\r\n\r\n")
        assert b"ok" == (await client.answer()).body


async def test_a_small_body_is_asked_for_and_taken_in(around: World) -> None:
    """The gateway says 100 itself, and asks the app when it has all of the body."""
    async with connected(around.port) as client:
        await client.send(
            b"POST /public/e HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert 100 == await client.interim()
        assert [] == around.app.seen
        await client.send(b"hello")
        assert 200 == (await client.answer()).status
    (seen,) = around.app.seen
    assert (b"hello", []) == (seen.body, seen.values("Expect"))


async def test_refused_before_the_body_was_sent(around: World) -> None:
    """A client that waits for 100 gets the refusal instead, and the connection ends."""
    async with connected(around.port) as client:
        await client.send(
            b"POST /private HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        answer = await client.answer()
        assert 401 == answer.status
        assert "close" == answer.value("Connection")
        assert await client.is_closed()


async def test_early_hints_pass(around: World) -> None:
    """A 103 comes before the answer that it announces."""
    around.app.answer(
        "/public/h",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    )
    async with connected(around.port) as client:
        await client.send(GET.replace(b"/x", b"/h"))
        assert 103 == await client.interim()
        assert 200 == (await client.answer()).status


async def test_pipelined_requests_are_answered_in_order(around: World) -> None:
    """Forty requests in one write, forty answers in their order, on one connection."""
    count = 40
    for number in range(count):
        body = b"%d" % number
        around.app.answer(
            f"/public/{number}",
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
        )
    async with connected(around.port) as client:
        await client.send(
            b"".join(b"GET /public/%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(count))
        )
        bodies = [(await client.answer()).body for _ in range(count)]

    assert [b"%d" % number for number in range(count)] == bodies


async def test_http_1_0(around: World) -> None:
    """A client of HTTP/1.0 gets its answer and then the end of the connection."""
    async with connected(around.port) as client:
        await client.send(b"GET /public/x HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        assert (200, b"hello", "close") == (answer.status, answer.body, answer.value("Connection"))
        assert await client.is_closed()


async def test_http_1_0_keep_alive(around: World) -> None:
    """HTTP/1.0 can keep the connection if it asks to."""
    request = b"GET /public/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
    async with connected(around.port) as client:
        for _ in range(2):
            answer = await (await client.send(request)).answer()
            assert (200, "keep-alive") == (answer.status, answer.value("Connection"))


async def test_connection_close(around: World) -> None:
    """The last request of a connection is answered as such."""
    async with connected(around.port) as client:
        await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert "close" == (await client.answer()).value("Connection")
        assert await client.is_closed()


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "raw", "status", "body", "length"),
    [
        pytest.param(
            "GET", b"204 No Content\r\n\r\n", 204, b"", [], id="204-has-neither-body-nor-length"
        ),
        pytest.param(
            "GET", b"304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b"", ["9"], id="304"
        ),
        pytest.param("HEAD", b"200 OK\r\nContent-Length: 9\r\n\r\n", 200, b"", ["9"], id="HEAD"),
        pytest.param("GET", b"200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", ["0"], id="empty"),
        pytest.param(
            "GET",
            b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: v\r\n\r\n",
            200,
            b"abc",
            [],
            id="chunked",
        ),
        pytest.param(
            "GET",
            b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            200,
            b"",
            [],
            id="chunked-and-empty",
        ),
    ],
)
async def test_answers(
    around: World, method: str, raw: bytes, status: int, body: bytes, length: list[str]
) -> None:
    """Every framing goes through, and the connection serves the next request."""
    around.app.answer("/public/a", b"HTTP/1.1 " + raw)
    async with connected(around.port) as client:
        await client.send(f"{method} /public/a HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await client.answer(method)
        assert (status, body, length) == (
            answer.status,
            answer.body,
            answer.values("Content-Length"),
        )
        assert 200 == (await (await client.send(GET)).answer()).status


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_that_ends_by_closing(around: World, version: str) -> None:
    """HTTP/1.1 clients get chunks and can tell the end; HTTP/1.0 knows only closing."""
    around.app.answer("/public/a", b"HTTP/1.1 200 OK\r\n\r\nabc", then_close=True)
    async with connected(around.port) as client:
        await client.send(f"GET /public/a HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        answer = await client.answer()

    assert (200, b"abc", True) == (answer.status, answer.body, answer.is_complete)
    chunked = ["chunked"] if version == "1.1" else []
    assert chunked == answer.values("Transfer-Encoding")


async def test_answer_fields_pass(around: World) -> None:
    """Reason, case, order and repetition stay; what concerns the hop does not."""
    around.app.answer(
        "/public/a",
        b"HTTP/1.1 299 Fine By Me\r\nETag: W/1\r\nx-B: 1\r\nX-b: 2\r\nConnection: x-hop\r\n"
        b"X-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 3\r\n\r\nabc",
    )
    answer = await around.get("/public/a")

    assert (299, "Fine By Me", b"abc") == (answer.status, answer.reason, answer.body)
    sent = [name for name, _ in answer.headers]
    assert ["ETag", "x-B", "X-b", "Content-Encoding", "Content-Length", "Date"] == sent[:-1]
    assert ["X-Request-Id"] == sent[-1:]


async def test_parts_pass_at_once(around: World) -> None:
    """A server-sent event is there before the next one is made."""
    more = asyncio.Event()

    async def trickle(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await writer.drain()
        await more.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await writer.drain()

    around.app.streams["/public/sse"] = trickle
    async with connected(around.port) as client:
        await client.send(GET.replace(b"/x", b"/sse"))
        async with asyncio.timeout(20):
            await client.reader.readuntil(b"one\r\n")
            more.set()
            await client.reader.readuntil(b"two\r\n0\r\n\r\n")


async def test_an_answer_before_the_body_is_complete(around: World) -> None:
    """The app may answer early; the client reads it, and the connection is not used again."""

    async def hasty(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.sleep(5)

    around.app.streams["/public/early"] = hasty
    async with connected(around.port) as client:
        await client.send(
            b"POST /public/early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc"
        )
        answer = await client.answer()
        assert (413, b"no", "close") == (answer.status, answer.body, answer.value("Connection"))
        assert await client.is_closed()


async def test_an_early_answer_is_taken_slowly(around: World) -> None:
    """A client that goes on sending gets all of an answer, also when that takes a while."""
    size = 1_500_000

    async def early(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size)
        await reader.read(-1)

    around.app.streams["/public/early"] = early
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        client.connect(("127.0.0.1", around.port))
        client.setblocking(False)
        client.send(b"POST /public/early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        received, until_s = 0, loop.time() + 3
        while data := await asyncio.wait_for(loop.sock_recv(client, 16384), 20):
            received += len(data)
            if loop.time() < until_s:
                await asyncio.sleep(0.05)
                with suppress(ConnectionError):
                    client.send(b"x")

    assert size < received


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", id="length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", id="chunked"
        ),
    ],
)
async def test_an_app_that_dies_in_its_answer(around: World, raw: bytes) -> None:
    """The client sees a broken message, never a clean end."""
    around.app.answer("/public/a", raw, then_close=True)

    answer = await around.get("/public/a")

    assert (200, False) == (answer.status, answer.is_complete)


async def test_a_broken_answer_to_http_1_0_is_a_reset(around: World) -> None:
    """Where closing is the end of the body, only a reset can say that it is not complete."""
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"
    around.app.answer("/public/a", raw, then_close=True)
    async with connected(around.port) as client:
        await client.send(b"GET /public/a HTTP/1.0\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", id="length-is-no-number"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nextra", id="bytes-too-many"),
        pytest.param(b"nonsense\r\n\r\n", id="no-http"),
        pytest.param(b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", id="bare-cr-in-reason"),
        pytest.param(b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", id="control-in-reason"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: \x01\r\nContent-Length: 0\r\n\r\n", id="control"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="bare-lf"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            id="unsolicited-upgrade",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two-framings",
        ),
    ],
)
async def test_malformed_answers(around: World, raw: bytes) -> None:
    """The app's nonsense becomes 502, and its connection is not used again."""
    around.app.answer("/public/a", raw)
    before = around.app.connections

    answer = await around.get("/public/a")

    assert (502, "bad_upstream_answer") == (answer.status, answer.code)
    assert 200 == (await around.get("/public/x")).status
    assert around.app.connections > before


async def test_unsolicited_bytes_are_discarded(around: World) -> None:
    """What an app sends after its answer never becomes the next caller's (CVE-2026-71324)."""

    async def poison(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await writer.drain()
        await asyncio.sleep(0.05)

    around.app.streams["/public/p"] = poison
    assert 200 == (await around.get("/public/p")).status
    await asyncio.wait_for(around.app.lost.wait(), 20)
    assert b"hello" == (await around.get("/public/x")).body


async def test_a_client_that_leaves(around: World) -> None:
    """The request to the app is given up when its client has left."""

    async def hang(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read()

    around.app.streams["/public/hang"] = hang
    async with connected(around.port) as client:
        await client.send(GET.replace(b"/x", b"/hang"))
        await around.app.arrived.wait()
    await asyncio.wait_for(around.app.lost.wait(), 20)


async def test_a_trailer_is_no_field_of_the_next_request(around: World) -> None:
    """It ends at the gateway, whether the next request comes with it or later."""
    chunked = (
        b"POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\nAuthorization: Basic evil\r\n\r\n"
    )
    async with connected(around.port) as client:
        for sent in (chunked, GET, chunked + GET):
            await client.send(sent)
            for _ in range(sent.count(b"Host")):
                assert 200 == (await client.answer()).status

    assert [b"abc", b"", b"abc", b""] == [seen.body for seen in around.app.seen]
    assert b"evil" not in around.app.raw


@pytest.mark.parametrize("cut", [1, 3, 4, 6])
async def test_chunked_requests_keep_the_connection(around: World, cut: int) -> None:
    """In whatever parts the end of the body comes."""
    head = b"POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connected(around.port) as client:
        for body in (b"", b"3\r\nabc\r\n"):
            chunked = head + body + b"0\r\n\r\n"
            await client.send(chunked[:-cut])
            await asyncio.sleep(0.02)
            await client.send(chunked[-cut:])
            assert 200 == (await client.answer()).status


async def test_a_trailer_is_no_field_of_the_next_answer(around: World) -> None:
    """What an app sends last to one caller is not what the next one reads first."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    around.app.answer("/public/trailer", head + b"3\r\nabc\r\n0\r\nSet-Cookie: a=b\r\n\r\n")
    before = around.app.connections
    async with connected(around.port) as client:
        for _ in range(2):
            await client.send(GET.replace(b"/x", b"/trailer"))
            answer = await client.answer()
            assert b"abc" == answer.body
            assert not answer.values("Set-Cookie")
            await client.send(GET)
            assert not (await client.answer()).values("Set-Cookie")
    assert around.app.connections - before <= 1


async def test_heads_that_repeat(around: World) -> None:
    """On one connection, and in any order, each request is read as if it were the first."""
    fields = b" HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"
    requests = [
        b"GET /public/1" + fields + b"\r\n",
        b"GET /public/2" + fields + b"\r\n",
        b"POST /public/3" + fields + b"Content-Length: 3\r\n\r\nabc",
        b"GET /public/4" + fields + b"\r\n",
        b"HEAD /public/5" + fields + b"\r\n",
        b"GET /public/6" + fields + b"\r\nGET /public/7" + fields + b"\r\n",
        b"GET /public/8" + fields + b"X-C: d\r\n\r\n",
        b"DELETE /public/9" + fields + b"X-C: d\r\n\r\n",
    ]
    around.app.answer("/public/5", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    async with connected(around.port) as client:
        for request in requests:
            await client.send(request)
            for _ in range(request.count(b"HTTP/1.1")):
                method = request.partition(b" ")[0].decode()
                answer = await client.answer(method)
                assert (200, b"" if method == "HEAD" else b"hello") == (answer.status, answer.body)

    assert [f"/public/{number}" for number in range(1, 10)] == [
        seen.target for seen in around.app.seen
    ]
    assert [["b"]] * 9 == [seen.values("X-A") for seen in around.app.seen]
    assert [b"", b"", b"abc"] == [seen.body for seen in around.app.seen[:3]]
    ids = [seen.values("X-Request-Id")[0] for seen in around.app.seen]
    assert len(set(ids)) == 9


@pytest.mark.parametrize("cut", [1, 5, 6, 20])
async def test_a_line_that_comes_in_parts(around: World, cut: int) -> None:
    """What is no request line is none in whatever parts it comes."""
    raw = GET.replace(b"GET ", b"GET  ")
    async with connected(around.port) as client:
        await client.send(raw[:cut])
        await asyncio.sleep(0.02)
        await client.send(raw[cut:])
        assert 400 == (await client.answer()).status
        assert await client.is_closed()
    assert not around.app.seen


async def test_an_empty_line_before_a_request(around: World) -> None:
    """One is skipped, as old clients send it after a body (RFC 9112 section 2.2)."""
    async with connected(around.port) as client:
        for _ in range(2):
            await client.send(b"\r\n" + GET)
            assert 200 == (await client.answer()).status


async def test_close_wins(around: World) -> None:
    """HTTP/1.0 asks for keep-alive in vain where it asks for close too."""
    async with connected(around.port) as client:
        await client.send(b"GET /public/x HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n")
        assert 200 == (await client.answer()).status
        assert await client.is_closed()


async def test_a_repeated_head_cut_in_two(around: World) -> None:
    """Parts of a head are put together, whatever came before on the connection."""
    async with connected(around.port) as client:
        for cut in (0, 5, 20, len(GET) - 2):
            await client.send(GET[:cut])
            await asyncio.sleep(0.02)
            await client.send(GET[cut:])
            assert 200 == (await client.answer()).status


async def test_answers_that_repeat_their_head(around: World) -> None:
    """Each answer has its own body; one that is cut in two is put together."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    bodies = iter([b"abc", b"def", b"ghi", b"jkl", b"mno"])

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        body = next(bodies)
        writer.write(head + body[:1] if body == b"ghi" else head + body)
        if body == b"ghi":
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(body[1:])

    around.app.answers["/public/x"] = answer
    async with connected(around.port) as client:
        for expected in (b"abc", b"def", b"ghi", b"jkl", b"mno"):
            await client.send(GET)
            assert expected == (await client.answer()).body


async def test_a_get_with_a_body_spoils_the_connection_to_the_app(around: World) -> None:
    """An app that leaves it unread would read it as the next request."""
    await around.get("/public/x")
    before = around.app.connections
    await fetch(around.port, "GET", "/public/x", body=b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n")
    await around.app.lost.wait()
    await around.get("/public/y")
    assert before + 1 == around.app.connections
    assert ["/public/x", "/public/x", "/public/y"] == [seen.target for seen in around.app.seen]


async def test_a_client_that_is_done_sending(around: World) -> None:
    """It has closed its sending side alone: what it asked for is still answered, all of it."""
    asked = GET + GET.replace(b"/x", b"/slow")
    answered = asyncio.Event()

    async def slow(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        await answered.wait()
        writer.write(b"-last")
        await asyncio.sleep(0)

    around.app.streams["/public/slow"] = slow
    async with connected(around.port) as client:
        await client.send(asked)
        client.writer.write_eof()
        assert b"hello" == (await client.answer()).body
        await client.reader.readuntil(b"first")
        answered.set()
        assert b"-last" == await client.reader.read()


@pytest.mark.parametrize("body", [b"", b"x" * 10, b"x" * 200_000], ids=len)
async def test_a_client_that_is_done_sending_is_not_waited_for_long(
    around: World, body: bytes
) -> None:
    """An answer must begin in time, whatever was sent with the request."""
    over = asyncio.Event()

    async def silent(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        over.set()

    around.app.streams["/public/silent"] = silent
    head = b"POST /public/silent HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with connected(around.port) as client:
        client.writer.write(head + body)
        client.writer.write_eof()
        async with asyncio.timeout(20):
            await over.wait()


@pytest.mark.parametrize(
    ("asked", "statuses"),
    [
        pytest.param(GET, [200], id="forwarded"),
        pytest.param(GET.replace(b"/public", b"/private"), [401], id="refused"),
        pytest.param(b"no request\r\n\r\n", [400], id="malformed"),
        pytest.param(GET + b"no request\r\n\r\n", [200, 400], id="malformed-behind"),
    ],
)
async def test_an_end_right_behind_what_was_asked(
    around: World, asked: bytes, statuses: list[int]
) -> None:
    """However fast an answer is, the client's end never overtakes it."""
    for _ in range(20):
        async with connected(around.port) as client:
            client.writer.write(asked)
            client.writer.write_eof()
            assert statuses == [(await client.answer()).status for _ in statuses]
            assert await client.is_closed()


async def test_a_client_that_says_nothing_more_is_not_waited_for(around: World) -> None:
    """An end without a request is the end of the connection."""
    async with connected(around.port) as client:
        client.writer.write_eof()
        assert await client.is_closed()


async def test_a_connection_that_the_app_closed_meanwhile(around: World) -> None:
    """A kept connection may be gone by the time it is used: the request goes out again."""

    async def close_on_second(
        _: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")

    around.app.streams["/public/once"] = close_on_second
    for _ in range(2):
        assert 200 == (await around.get("/public/once")).status
    assert 200 == (await around.get("/public/x")).status


# --- bounds ------------------------------------------------------------------------------------


async def test_a_body_over_the_limit(around: World) -> None:
    """An announced length over the limit never reaches the app."""
    async with connected(around.port) as client:
        await client.send(b"POST /public/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        answer = await client.answer()

    assert (413, "body_too_large") == (answer.status, answer.code)
    assert [] == around.app.seen


async def test_a_chunked_body_over_the_limit(around: World) -> None:
    """A body that grows over the limit is cut off, and the app sees that it is not whole."""

    async def read_all(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    around.app.streams["/public/b"] = read_all
    head = b"POST /public/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connected(around.port) as client:
        await client.send(head)
        await _send_until_refused(client)
        answer = await client.answer()
    await asyncio.wait_for(around.app.lost.wait(), 20)

    assert (413, "body_too_large") == (answer.status, answer.code)


async def _send_until_refused(client: RawClient) -> None:
    for _ in range(20):
        await client.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /public/" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="target"),
        pytest.param(GET[:-2] + b"X: " + b"x" * 5000 + b"\r\n\r\n", id="one-field"),
        pytest.param(
            GET[:-2] + b"".join(b"X%d: %b\r\n" % (n, b"x" * 500) for n in range(10)) + b"\r\n",
            id="all-fields-together",
        ),
        pytest.param(
            GET[:-2] + b"".join(b"X%d: 1\r\n" % n for n in range(30)) + b"\r\n",
            id="number-of-fields",
        ),
    ],
)
async def test_a_head_over_the_limit(around: World, head: bytes) -> None:
    """Whatever in a head is too much, it is 431, and nothing goes to the app."""
    async with connected(around.port) as client:
        await client.send(head)
        answer = await client.answer()

    assert (431, "head_too_large") == (answer.status, answer.code)
    assert [] == around.app.seen


async def test_a_head_that_never_ends(around: World) -> None:
    """A head that trickles in is refused as soon as it is too long."""
    async with connected(around.port) as client:
        await client.send(b"GET /public/x HTTP/1.1\r\n")
        for number in range(100):
            await client.send(b"X-%d: %b\r\n" % (number, b"x" * 100))
            if number % 10 == 0:
                await asyncio.sleep(0)
        assert 431 == (await client.answer()).status


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        pytest.param(
            b"GET /public/x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "bad_request", id="hosts"
        ),
        pytest.param(
            b"POST /public/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "bad_request",
            id="two-framings",
        ),
        pytest.param(
            b"POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
            b"0\r\n\r\n",
            501,
            "unsupported_coding",
            id="other-coding",
        ),
        pytest.param(
            b"POST /public/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "bad_request",
            id="chunked-in-1.0",
        ),
        pytest.param(b"GET /public/x HTTP/1.1\nHost: x\n\n", 400, "bad_request", id="bare-lf"),
        pytest.param(b"GET  " + GET[4:], 400, "bad_request", id="two-spaces"),
        pytest.param(GET.replace(b"x H", b"x  H", 1), 400, "bad_request", id="two-spaces-later"),
        pytest.param(b"\n" + GET, 400, "bad_request", id="bare-lf-before"),
        pytest.param(b"\r\r\n" + GET, 400, "bad_request", id="bare-cr-before"),
        pytest.param(GET.replace(b"HTTP/1.1", b"RTSP/1.0"), 400, "bad_request", id="rtsp"),
        pytest.param(GET.replace(b"HTTP/1.1", b"ICE/1.0"), 400, "bad_request", id="ice"),
        pytest.param(b"GET /public/x\r\n\r\n", 505, "unsupported_version", id="http-0.9"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request", id="http-2-preface"),
        pytest.param(
            b"TRACE /public/x HTTP/1.1\r\nHost: x\r\n\r\n", 501, "unsupported_method", id="TRACE"
        ),
        pytest.param(
            b"GET /public/x#f HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_target", id="fragment"
        ),
        pytest.param(
            b"GET http://y/public/x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_host", id="absolute"
        ),
        pytest.param(
            b"GET /public/../private HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_target", id="dots"
        ),
        pytest.param(
            b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
            501,
            "unsupported_upgrade",
            id="CONNECT",
        ),
        pytest.param(
            b"POST /public/x HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\nx",
            417,
            "expectation_failed",
            id="expectation",
        ),
        pytest.param(
            b"POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "bad_request",
            id="chunk-size",
        ),
        pytest.param(
            b"POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-6\r\nx",
            400,
            "bad_request",
            id="chunk-size-below-zero",
        ),
    ],
)
async def test_refused_by_grammar(around: World, raw: bytes, status: int, code: str) -> None:
    """What two parsers could read in two ways is refused, and nothing of it reaches the app."""
    async with connected(around.port) as client:
        await client.send(raw)
        answer = await client.answer()

    assert (status, code) == (answer.status, answer.code)
    assert [] == around.app.seen


async def test_after_a_breach_of_the_grammar_the_connection_closes(around: World) -> None:
    """Where the next request would begin is unknown, so nothing more is read."""
    async with connected(around.port) as client:
        assert 200 == (await (await client.send(GET)).answer()).status
        await client.send(b"GET /public/x HTTP/1.1\r\nHo st: x\r\n\r\n" + GET)
        assert 400 == (await client.answer()).status
        assert await client.is_closed()

    assert 1 == len(around.app.seen)


async def test_a_breach_behind_a_request(around: World) -> None:
    """What was complete before it is answered; then the breach, and the end."""
    async with connected(around.port) as client:
        await client.send(GET + b"GET /public/x HTTP/1.1\r\nHo st: x\r\n\r\n")
        assert 200 == (await client.answer()).status
        assert 400 == (await client.answer()).status
        assert await client.is_closed()

    assert ["/public/x"] == [seen.target for seen in around.app.seen]


async def test_more_requests_than_connections(around: World) -> None:
    """Two connections to the app serve twenty requests at a time, one after the other."""
    answers = await asyncio.gather(*(around.get("/public/x") for _ in range(20)))

    assert {200} == {answer.status for answer in answers}


async def test_emitted_requests_are_what_was_decided_on(around: World) -> None:
    """A parser of another make reads exactly one request in what one request became."""
    await fetch(around.port, "POST", "/public/x?a=b", "X: y", body=b"GET / HTTP/1.1\r\n\r\n")

    parser = h11.Connection(h11.SERVER)
    parser.receive_data(around.app.raw)
    events = []
    while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        events.append(type(event))
    assert [h11.Request, h11.Data, h11.EndOfMessage] == events
    assert (b"", False) == parser.trailing_data


@pytest.mark.parametrize("size", [4097, 17_000, 60_000])
async def test_a_body_that_comes_after_its_head(around: World, size: int) -> None:
    """One request has one answer, however its bytes are cut up; the connection goes on."""
    async with connected(around.port) as client:
        await client.send(
            b"POST /public/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        )
        await around.app.arrived.wait()
        await client.send(b"x" * size)
        assert 200 == (await client.answer()).status
        assert 200 == (await (await client.send(GET)).answer()).status


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"0\r\n" + b"T: x\r\n" * 2000, id="trailers"),
        pytest.param(b"1;" + b"e" * 10_000, id="chunk-extension"),
    ],
)
async def test_what_is_between_and_after_chunks_is_bounded(around: World, flood: bytes) -> None:
    """Trailers and chunk extensions count as head: they cannot fill the memory."""
    async with connected(around.port) as client:
        await client.send(
            b"POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        )
        await around.app.arrived.wait()
        await client.send(flood[:3000])
        await asyncio.sleep(0.05)
        await client.send(flood[3000:])
        assert 431 == (await client.answer()).status


async def test_connections_that_were_reset_at_once(around: World) -> None:
    """They leave nothing behind: no descriptor, no traceback."""
    await around.get("/public/x")
    before = around.gateway.descriptors()
    for _ in range(200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            probe.connect(("127.0.0.1", around.port))
    await around.get("/public/x")
    async with asyncio.timeout(20):
        while around.gateway.descriptors() > before + 5:
            await asyncio.sleep(0.01)


async def test_connection_bound_credentials_do_not_pass(around: World) -> None:
    """NTLM and Negotiate prove who a connection is, and ours are shared."""
    for scheme in ("NTLM", "Negotiate", "kerberos"):
        await around.get("/public/x", f"Authorization: {scheme} TlRMTVNTUAAB")

    assert [[], [], []] == [seen.values("Authorization") for seen in around.app.seen]


async def test_the_log_holds_no_secret(around: World) -> None:
    """Neither query nor fragment nor userinfo of a request is written down."""
    for target in ("/public/x?token=hunter2", "/cb#token=hunter2", "http://u:hunter2@x/"):
        async with connected(around.port) as client:
            await client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await client.answer()
    await eventually(lambda: _is_logged(around, 3), within_s=20)

    assert not any("hunter2" in str(line) for line in around.gateway.log_lines())


async def _is_logged(around: World, count: int) -> bool:
    return len(around.gateway.log_lines()) >= count


async def test_a_refusal_of_head_has_no_body(around: World) -> None:
    """The next answer is where the client looks for it."""
    async with connected(around.port) as client:
        for _ in range(2):
            await client.send(b"HEAD /private HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await client.answer("HEAD")
            assert (401, b"") == (answer.status, answer.body)


async def test_clients_that_leave_give_their_place_back(around: World) -> None:
    """Both connections to the app are free again at once."""

    async def hang(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read()

    around.app.streams["/public/hang"] = hang
    for _ in range(6):
        around.app.arrived.clear()
        async with connected(around.port) as client:
            await client.send(GET.replace(b"/x", b"/hang"))
            await around.app.arrived.wait()
    assert 200 == (await around.get("/public/x")).status


async def test_a_second_answer_in_parts_is_discarded(around: World) -> None:
    """Its beginning came with the first one: the connection is not used again (CVE-2026-71324)."""

    async def poison(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        writer.write(first + b"HTTP/1.1 200 OK\r\nX-Pois")
        await writer.drain()
        await reader.read(1)
        writer.write(b"on: yes\r\nContent-Length: 6\r\n\r\npoison")
        await writer.drain()

    around.app.streams["/public/p"] = poison
    assert b"ok" == (await around.get("/public/p")).body
    assert b"hello" == (await around.get("/public/x")).body


async def test_many_small_chunks_and_the_end_of_the_connection(around: World) -> None:
    """What the parser held back is not lost when the app closes."""

    async def trickle(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"1\r\nx\r\n" * 4097)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")
        await writer.drain()

    around.app.streams["/public/chunks"] = trickle
    answer = await around.get("/public/chunks")

    assert (b"x" * 4097 + b"helloworld", True) == (answer.body, answer.is_complete)


async def test_pipelining_behind_a_body(around: World) -> None:
    """Twenty requests behind one whose body came late are all answered."""
    async with connected(around.port) as client:
        await client.send(b"POST /public/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        await around.app.arrived.wait()
        await client.send(b"12345" + GET * 20)
        assert [200] * 21 == [(await client.answer()).status for _ in range(21)]


@pytest.mark.parametrize("before", [b"", GET, GET * 16])
async def test_a_long_head_behind_other_requests(around: World, before: bytes) -> None:
    """Wherever in a read a head begins, its bound holds."""
    long = b"GET /public/long HTTP/1.1\r\nHost: x\r\n" + (b"X: " + b"x" * 3000 + b"\r\n") * 10
    async with connected(around.port) as client:
        await client.send(before + long)
        await asyncio.sleep(0.05)
        await client.send(b"\r\n")
        statuses = [(await client.answer()).status for _ in range(before.count(GET) + 1)]

    assert [200] * before.count(GET) + [431] == statuses
    assert not any(seen.target == "/public/long" for seen in around.app.seen)


async def test_asking_without_reading_does_not_fill_the_memory(around: World) -> None:
    """Answers wait in the app, not here, for a client that does not take them."""
    body = b"x" * 60_000
    around.app.answer(
        "/public/big", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    await around.get("/public/big")
    before = around.gateway.resident_bytes()
    async with connected(around.port) as client:
        client.writer.write(GET.replace(b"/x", b"/big") * 3000)
        await asyncio.sleep(1)
        assert around.gateway.resident_bytes() - before < 32 << 20


async def test_a_flood_of_interim_answers(around: World) -> None:
    """A client that does not read is spared them; the memory is too."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: <%b>\r\n\r\n" % (b"x" * 8000)

    async def flood(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _number in range(10_000):
            writer.write(hint)
            await writer.drain()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    around.app.streams["/public/hints"] = flood
    before = around.gateway.resident_bytes()
    async with connected(around.port) as client:
        await client.send(GET.replace(b"/x", b"/hints"))
        await asyncio.sleep(1)
        assert around.gateway.resident_bytes() - before < 32 << 20
