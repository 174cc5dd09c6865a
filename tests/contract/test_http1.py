"""What we rely on in aiohttp's parsers, which are not documented API: held for each version."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
import uvloop
from aiohttp.base_protocol import BaseProtocol

from gateway.core.method import KNOWN_METHODS
from gateway.proxy.http1 import parser
from gateway.proxy.http1.parser import (
    HttpProcessingError,
    HttpProtocol,
    RequestParser,
    ResponseParser,
)

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\n"
CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for the protocols."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def requests(loop: asyncio.AbstractEventLoop) -> RequestParser:
    """A parser of requests, as the gateway makes them."""
    return parser.request_parser(BaseProtocol(loop), loop, 16384)


@pytest.fixture
def answers(loop: asyncio.AbstractEventLoop) -> ResponseParser:
    """A parser of answers, as the gateway makes them."""
    parser.require_c_parsers()
    return parser.response_parser(BaseProtocol(loop), loop)


BREACHES = [
    pytest.param(b"A : b\r\n\r\n", id="space-before-colon"),
    pytest.param(b"A: b\r\n c\r\n\r\n", id="obs-fold"),
    pytest.param(b" A: b\r\n\r\n", id="space-before-the-first-field"),
    pytest.param(b"A: b\n\r\n", id="bare-lf"),
    pytest.param(b"A: b\rc\r\n\r\n", id="bare-cr"),
    pytest.param(b"A: b\0c\r\n\r\n", id="nul"),
    pytest.param(b"A: b\x01\r\n\r\n", id="control-character"),
    pytest.param(b"A: b\x7f\r\n\r\n", id="delete-character"),
    pytest.param(b"A(b): c\r\n\r\n", id="name-is-no-token"),
    pytest.param(b": c\r\n\r\n", id="no-name"),
    pytest.param(b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", id="two-lengths"),
    pytest.param(b"Content-Length: 1, 1\r\n\r\n", id="list-of-lengths"),
    pytest.param(b"Content-Length: +1\r\n\r\n", id="signed-length"),
    pytest.param(b"Content-Length: 99999999999999999999\r\n\r\n", id="length-overflows"),
    pytest.param(
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", id="length-and-coding"
    ),
]

CHUNK_BREACHES = [
    pytest.param(b"3 \r\nabc\r\n0\r\n\r\n", id="space-after-size"),
    pytest.param(b"3\nabc\r\n0\r\n\r\n", id="bare-lf-after-size"),
    pytest.param(b"3\r\nabc\n0\r\n\r\n", id="bare-lf-after-data"),
    pytest.param(b"3\r\nabcd\r\n0\r\n\r\n", id="data-longer-than-size"),
    pytest.param(b"0x3\r\nabc\r\n0\r\n\r\n", id="hex-prefix"),
    pytest.param(b"-3\r\nabc\r\n0\r\n\r\n", id="signed-size"),
    pytest.param(b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n", id="size-overflows"),
    pytest.param(b"3;a=\x01\r\nabc\r\n0\r\n\r\n", id="control-character-in-extension"),
    pytest.param(b"0\r\nA: b\r\n c\r\n\r\n", id="obs-fold-in-trailer"),
    pytest.param(b"0\r\nContent-Length: 3\r\n\r\n", id="length-in-trailer"),
]


@pytest.mark.parametrize("fields", BREACHES)
def test_breaches_in_requests(requests: RequestParser, fields: bytes) -> None:
    """What can be read in two ways is no request."""
    with pytest.raises(HttpProcessingError):
        requests.feed_data(REQUEST + fields)


@pytest.mark.parametrize("fields", BREACHES)
def test_breaches_in_answers(answers: ResponseParser, fields: bytes) -> None:
    """Answers are held to the same grammar."""
    with pytest.raises(HttpProcessingError):
        answers.feed_data(ANSWER + fields)


@pytest.mark.parametrize("body", CHUNK_BREACHES)
def test_breaches_in_chunks_of_requests(requests: RequestParser, body: bytes) -> None:
    """Where a chunk ends is never a guess."""
    with pytest.raises(HttpProcessingError):
        requests.feed_data(CHUNKED + body)


@pytest.mark.parametrize("body", CHUNK_BREACHES)
def test_breaches_in_chunks_of_answers(answers: ResponseParser, body: bytes) -> None:
    """Nor in an answer."""
    with pytest.raises(HttpProcessingError):
        answers.feed_data(CHUNKED_ANSWER + body)


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 99 Low\r\n",
        b"HTTP/1.1 1000 High\r\n",
        b"HTTP/1.1 2x0 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 O\rK\r\n",
    ],
)
def test_breaches_in_status_lines(answers: ResponseParser, line: bytes) -> None:
    """A status line has one form (RFC 9112 section 4)."""
    with pytest.raises(HttpProcessingError):
        answers.feed_data(line + b"Content-Length: 0\r\n\r\n")


def test_a_request_without_a_body_is_complete_with_its_head(requests: RequestParser) -> None:
    """Without length and coding there is no body: its stream has ended, and nothing is left."""
    messages, upgraded, rest = requests.feed_data(REQUEST + b"\r\n")
    ((message, body),) = messages
    assert (False, b"") == (upgraded, rest)
    assert body.is_eof()
    assert not message.should_close


@pytest.mark.parametrize("method", sorted(KNOWN_METHODS))
def test_known_methods_are_read(requests: RequestParser, method: str) -> None:
    """As they are; the gateway puts all others back into a head that the parser accepts."""
    (((message, _),), _, _) = requests.feed_data(REQUEST.replace(b"GET", method.encode()) + b"\r\n")
    assert method == message.method


@pytest.mark.parametrize("method", ["FOO", "get", "DESCRIBE", "GET_PARAMETER", "PRI"])
def test_other_methods_are_not(requests: RequestParser, method: str) -> None:
    """If the parser learns one, the gateway has to know it: a route without methods takes it."""
    with pytest.raises(HttpProcessingError):
        requests.feed_data(REQUEST.replace(b"GET", method.encode()) + b"\r\n")


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        pytest.param(b"", (), id="no-body"),
        pytest.param(b"Content-Length: 5\r\n", (b"hel", b"lo"), id="length"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n", (b"5\r\nhel", b"lo\r\n0\r\n\r\n"), id="chunked"
        ),
    ],
)
def test_the_parser_goes_on_after_an_upgrade_that_is_ignored(
    requests: RequestParser, fields: bytes, parts: tuple[bytes, ...]
) -> None:
    """It reports the wish, and reads the body and the next request as HTTP."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    (((message, body),), upgraded, _) = requests.feed_data(REQUEST + upgrade + fields + b"\r\n")
    assert (True, False) == (message.upgrade, upgraded)
    for part in parts:
        assert [False, b""] == list(requests.feed_data(part))[1:]
    assert (b"hello" if parts else b"") == body.read_nowait()
    assert body.is_eof()
    (((message, _),), upgraded, _) = requests.feed_data(REQUEST + b"\r\n")
    assert (False, False) == (message.upgrade, upgraded)


def test_nothing_is_decompressed(answers: ResponseParser) -> None:
    """Bodies pass as they are, whatever their coding."""
    fields = b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    ((_, body),) = answers.feed_data(ANSWER + fields)[0]
    assert b"abc" == body.read_nowait()


def test_trailers_are_dropped(answers: ResponseParser) -> None:
    """They are never merged into the head (RFC 9110 section 6.5.1 allows to discard them)."""
    ((message, body),) = answers.feed_data(CHUNKED_ANSWER + b"0\r\nX-Late: 1\r\n\r\n")[0]
    assert "X-Late" not in message.headers
    assert body.is_eof()


def test_interim_answers_are_messages_of_their_own(answers: ResponseParser) -> None:
    """103 and the final answer come out one after the other."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    messages, _, _ = answers.feed_data(early + ANSWER + b"Content-Length: 0\r\n\r\n")
    assert [103, 200] == [message.code for message, _ in messages]


def test_a_trailer_becomes_a_field_of_the_next_message(requests: RequestParser) -> None:
    """
    A fault of aiohttp's, and the reason for new parsers after chunked bodies on both sides.

    When this fails, aiohttp has fixed it, and both can go.
    """
    requests.feed_data(CHUNKED + b"0\r\nX-Late: 1\r\n\r\n")
    ((message, _),) = requests.feed_data(REQUEST + b"\r\n")[0]
    assert (b"X-Late", b"1") == message.raw_headers[0]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_event_loops_send_small_messages_at_once(run: Callable[..., Any]) -> None:
    """They set TCP_NODELAY, so `HttpProtocol` does not."""

    class Noting(HttpProtocol):
        noted: ClassVar[list[int]] = []

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            own = transport.get_extra_info("socket")
            self.noted.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def connect() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Noting(loop), "127.0.0.1", 0)
        async with server:
            client, _ = await loop.create_connection(
                lambda: Noting(loop), *server.sockets[0].getsockname()
            )
            while len(Noting.noted) < 2:
                await asyncio.sleep(0)
            client.abort()

    run(asyncio.wait_for(connect(), 10))
    assert Noting.noted == [1, 1]
