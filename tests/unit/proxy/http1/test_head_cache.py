"""Heads that repeat are read as the parser would read them."""

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.request import FieldMemo
from gateway.proxy.http1.head_cache import HeadCache
from gateway.proxy.http1.parser import (
    NOTHING,
    HttpProcessingError,
    RawRequestMessage,
    request_parser,
)
from gateway.proxy.http1.strict import is_plain

FIELDS = b"Host: x\r\nAccept: */*\r\n\r\n"
HEAD = b"GET /a HTTP/1.1\r\n" + FIELDS
HEAD_BYTES = 1000


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for the protocols."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def parsed(data: bytes, loop: asyncio.AbstractEventLoop) -> RawRequestMessage | None:
    """The one message without a body that a new parser finds in ``data``, if that is what it is."""
    try:
        messages, upgraded, rest = request_parser(BaseProtocol(loop), loop, 16384).feed_data(data)
    except HttpProcessingError:
        return None
    if len(messages) != 1 or upgraded or rest or messages[0][1] is not NOTHING:
        return None
    return messages[0][0]


def learnt(data: bytes, loop: asyncio.AbstractEventLoop) -> tuple[HeadCache, FieldMemo | None]:
    """What a connection remembers after ``data`` has come twice."""
    last, message = HeadCache(HEAD_BYTES), parsed(data, loop)
    if message is None or not is_plain(message):
        return last, None
    fields = message.headers, message.raw_headers
    assert last.learn(data, *fields) is None
    return last, last.learn(data, *fields)


def test_the_same_fields_are_recalled(loop: asyncio.AbstractEventLoop) -> None:
    """Another line over the same fields is a request of its own with the same memo."""
    last, memo = learnt(HEAD, loop)
    recalled = last.recall(b"DELETE /b?c HTTP/1.1\r\n" + FIELDS)
    assert recalled is not None
    method, target, fields = recalled
    assert ("DELETE", "/b?c") == (method, target)
    assert ((b"Host", b"x"), (b"Accept", b"*/*")) == fields.raw_fields
    assert fields.memo is memo


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD + b"x", id="more-than-a-head"),
        pytest.param(HEAD[:-1], id="less-than-a-head"),
        pytest.param(HEAD + HEAD, id="two-heads"),
        pytest.param(HEAD.replace(b"*/*", b"*/x"), id="another-field"),
        pytest.param(HEAD.replace(b"1.1", b"1.0"), id="another-version"),
        pytest.param(HEAD.replace(b"GET", b"CONNECT"), id="a-tunnel"),
        pytest.param(HEAD.replace(b"GET", b"get"), id="a-method-in-small-letters"),
        pytest.param(HEAD.replace(b"/a", b"x:80"), id="authority-form"),
        pytest.param(HEAD.replace(b"/a", b"/a#b"), id="fragment"),
        pytest.param(HEAD.replace(b"/a", b"/\xc3\xa9"), id="octets-beyond-ascii"),
        pytest.param(HEAD.replace(b" /a", b"  /a"), id="two-spaces"),
        pytest.param(HEAD.replace(b"HTTP", b"RTSP"), id="another-protocol"),
        pytest.param(b"\r\n" + HEAD, id="an-empty-line-before"),
        pytest.param(HEAD.replace(b"/a", b"/" + b"a" * HEAD_BYTES), id="too-long"),
    ],
)
def test_all_else_is_left_to_the_parser(loop: asyncio.AbstractEventLoop, data: bytes) -> None:
    """Only a whole head of a plain request that differs in its line alone is recalled."""
    last, _ = learnt(HEAD, loop)
    assert last.recall(data) is None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(HEAD.replace(b"Accept: */*", b"Content-Length: 0"), id="a-length"),
        pytest.param(HEAD.replace(b"Accept: */*", b"Connection: close"), id="the-last-request"),
        pytest.param(HEAD.replace(b"Accept: */*", b"Expect: 100-continue"), id="an-expectation"),
        pytest.param(HEAD.replace(b"*/*", b"x" * 5000), id="a-long-head"),
        pytest.param(b"\r\n" + HEAD, id="an-empty-line-before"),
    ],
)
def test_what_must_be_judged_anew_is_not_kept(loop: asyncio.AbstractEventLoop, head: bytes) -> None:
    """Bodies, ends of connections, expectations: the parser sees them each time."""
    last, memo = learnt(head, loop)
    assert memo is None
    assert last.recall(head) is None


def test_what_comes_once_is_not_kept(loop: asyncio.AbstractEventLoop) -> None:
    """A head is remembered when it has repeated the one before: most that differ never do."""
    last, message = HeadCache(HEAD_BYTES), parsed(HEAD, loop)
    assert message is not None
    assert last.learn(HEAD, message.headers, message.raw_headers) is None
    assert last.recall(HEAD) is None


def test_what_was_forgotten_is_parsed(loop: asyncio.AbstractEventLoop) -> None:
    """An idle connection keeps nothing."""
    last, _ = learnt(HEAD, loop)
    last.forget()
    assert last.recall(HEAD) is None


PIECES = st.sampled_from(
    b"GET |POST |/a|/b?c=d| HTTP/1.1| HTTP/1.0|\r\n|\n|Host: x|Accept: y|Content-Length: 0|"
    b"Content-Length: 3|abc| |\0|\r\n\r\n".split(b"|")
)
READS = st.one_of(
    st.just(HEAD),
    st.lists(PIECES, max_size=12).map(b"".join),
    st.tuples(
        st.sampled_from([b"GET /x", b"PUT /y?z", b"GET /x ", b"G\r\nET /"]), st.just(FIELDS)
    ).map(lambda parts: parts[0] + b" HTTP/1.1\r\n" + parts[1]),
)


@given(first=READS, second=READS)
def test_recalling_is_parsing(first: bytes, second: bytes) -> None:
    """A recalled head is what a new parser reads from the same bytes."""
    loop = asyncio.new_event_loop()
    try:
        recalled = learnt(first, loop)[0].recall(second)
        if recalled is not None:
            message = parsed(second, loop)
            assert message is not None
            method, target, fields = recalled
            assert (message.method, message.path) == (method, target)
            assert message.raw_headers == fields.raw_fields
    finally:
        loop.close()
