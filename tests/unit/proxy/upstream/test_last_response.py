"""Which answers are remembered, so that their repetition need not be parsed."""

import asyncio

import pytest

from gateway.proxy.http1.parser import HttpProtocol, response_parser
from gateway.proxy.upstream.last_response import LastResponse, last_response


async def remembered(data: bytes) -> LastResponse | None:
    """Parse the answer in ``data``, and return what is remembered of it."""
    loop = asyncio.get_running_loop()
    parser = response_parser(HttpProtocol(loop), loop)
    ((message, body),), _, _ = parser.feed_data(data)
    return last_response(data, message, body)


async def test_a_head_is_remembered_with_the_length_of_its_body() -> None:
    """An answer with the same head and a body of that length is the same but for its body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    last = await remembered(head + b"hi")
    assert last is not None
    assert (head, 2, 200, {}) == (last.head, last.length, last.message.code, last.memo)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", id="incomplete"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 02\r\n\r\nhi", id="odd-length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", id="last"
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", id="without-body"),
        pytest.param(b"HTTP/1.1 103 Hints\r\nContent-Length: 0\r\n\r\n", id="not-final"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 4096 + b"\r\nContent-Length: 2\r\n\r\nhi", id="long"
        ),
    ],
)
async def test_other_answers_are_not_remembered(data: bytes) -> None:
    """They say nothing about the next answer, or take too much memory."""
    assert await remembered(data) is None
