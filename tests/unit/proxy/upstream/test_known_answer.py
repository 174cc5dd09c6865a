"""Which answers need no parser: whole in one read, or begun with a length."""

import pytest

from gateway.headers.response import ResponseFields
from gateway.proxy.upstream.known_answer import (
    BegunAnswer,
    KnownAnswer,
    LengthlessAnswer,
    WholeAnswer,
    known_answer,
)

HEAD = b"HTTP/1.1 200 OK\r\nA: b\r\n"


def read(data: bytes) -> KnownAnswer | None:
    """What is known of the answer in ``data``."""
    return known_answer(data, ResponseFields("session").of_apps)


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length"])
@pytest.mark.parametrize("body", [b"", b"hello", b"b" * 100_000], ids=["empty", "short", "long"])
def test_an_answer_is_read_by_the_length_of_its_body(name: bytes, body: bytes) -> None:
    """The length stands in a line of its own, and the client gets it in the usual spelling."""
    answer = read(b"%b%b: %d\r\nC: d\r\n\r\n%b" % (HEAD, name, len(body), body))
    assert isinstance(answer, WholeAnswer)
    assert (200, body) == (answer.status, answer.body)
    assert b"Content-Length: %d\r\n" % len(body) == answer.length_line
    assert HEAD + b"C: d\r\n" == answer.head.block


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length"])
@pytest.mark.parametrize("begun", [b"", b"hi"])
def test_a_body_may_be_still_to_come(name: bytes, begun: bytes) -> None:
    """What has come of it is the rest of the read."""
    answer = read(HEAD + name + b": 1234567\r\nC: d\r\n\r\n" + begun)
    assert isinstance(answer, BegunAnswer)
    assert (1234567, begun) == (answer.length, answer.begun)
    assert b"Content-Length: 1234567\r\n" == answer.length_line
    assert HEAD + b"C: d\r\n" == answer.head.block


@pytest.mark.parametrize("name", [b"Transfer-Encoding", b"transfer-encoding"])
@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        pytest.param(b"", b"", id="none"),
        pytest.param(b"2\r\nhi\r\n", b"hi", id="one"),
        pytest.param(b"2\r\nhi\r\n1\r\n!\r\n", b"hi!", id="two"),
        pytest.param(b"A\r\n0123456789\r\n", b"0123456789", id="upper-case"),
        pytest.param(b"7\r\n\r\n0\r\n\r\n\r\n", b"\r\n0\r\n\r\n", id="an-end-in-the-data"),
        pytest.param(b"1\r\na\r\n" * 16, b"a" * 16, id="as-many-as-are-read"),
        pytest.param(b"186a0\r\n%b\r\n" % (b"b" * 100_000), b"b" * 100_000, id="long"),
    ],
)
def test_an_answer_may_be_whole_in_chunks(name: bytes, chunks: bytes, body: bytes) -> None:
    """The client gets the data in a framing of its own."""
    answer = read(HEAD + name + b": chunked\r\nC: d\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert isinstance(answer, LengthlessAnswer)
    assert (200, body) == (answer.status, answer.body)
    assert HEAD + b"C: d\r\n" == answer.head.block


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"2\r\nhi\r\n", id="no-end"),
        pytest.param(b"2\r\nhi0\r\n\r\n", id="no-line-end"),
        pytest.param(b"3\r\nhi\r\n0\r\n\r\n", id="too-short"),
        pytest.param(b"1\r\nhi\r\n0\r\n\r\n", id="too-long"),
        pytest.param(b"4\r\nhi\r\n0\r\n\r\n", id="over-the-last-chunk"),
        pytest.param(b"9\r\nhi\r\n0\r\n\r\n", id="over-the-end"),
        pytest.param(b"02\r\nhi\r\n0\r\n\r\n", id="leading-zero"),
        pytest.param(b"+2\r\nhi\r\n0\r\n\r\n", id="sign"),
        pytest.param(b"0x2\r\nhi\r\n0\r\n\r\n", id="prefix"),
        pytest.param(b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n", id="underscore"),
        pytest.param(b"2 \r\nhi\r\n0\r\n\r\n", id="space"),
        pytest.param(b"2;a=b\r\nhi\r\n0\r\n\r\n", id="extension"),
        pytest.param(b"2\nhi\r\n0\r\n\r\n", id="bare-lf"),
        pytest.param(b"2\r\nhi\r\n0\r\nA: b\r\n\r\n", id="trailer"),
        pytest.param(b"2\r\nhi\r\n0\r\n\r\n0\r\n\r\n", id="more-follows"),
        pytest.param(b"10000000\r\nhi\r\n0\r\n\r\n", id="huge"),
        pytest.param(b"1\r\na\r\n" * 17 + b"0\r\n\r\n", id="many"),
    ],
)
def test_other_chunks_are_for_the_parser(chunks: bytes) -> None:
    """It may accept them or refuse them, or wait for more."""
    assert read(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) is None


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified", b"304 Custom"])
def test_an_answer_may_have_no_body(status: bytes) -> None:
    """It ends with its head, which announces none."""
    answer = read(b"HTTP/1.1 " + status + b"\r\nA: b\r\n\r\n")
    assert isinstance(answer, LengthlessAnswer)
    assert (int(status[:3]), None) == (answer.status, answer.body)
    assert b"HTTP/1.1 " + status + b"\r\nA: b\r\n" == answer.head.block


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"Content-Length: 5\r\n\r\n", id="announced"),
        pytest.param(b"Content-Length: 0\r\n\r\n", id="announced-as-empty"),
        pytest.param(b"Content-Length: 2\r\n\r\nhi", id="sent"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n", id="coded"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="sent-in-chunks"),
        pytest.param(b"\r\nhi", id="unannounced"),
        pytest.param(b"Connection: close\r\n\r\n", id="last"),
    ],
)
@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_body_in_spite_of_the_status_is_for_the_parser(status: bytes, rest: bytes) -> None:
    """The connection may have to be closed."""
    assert read(b"HTTP/1.1 " + status + b"\r\nA: b\r\n" + rest) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD + b"Content-Length: " + b"9" * 19 + b"\r\n\r\nhi", id="huge-length"),
        pytest.param(HEAD + b"Content-Length: 3\r\n" * 2 + b"\r\nhi", id="begun-twice"),
        pytest.param(HEAD + b"Content-Length: 03\r\n\r\nhi", id="begun-leading-zero"),
        pytest.param(HEAD + b"Content-Length: 3, 3\r\n\r\nhi", id="begun-list"),
        pytest.param(HEAD + b"Content-Length: 3\r\nTransfer-Encoding: x\r\n\r\n", id="begun-both"),
        pytest.param(HEAD + b"Content-Length: 1\r\n\r\nhi", id="more-follows"),
        pytest.param(HEAD + b"Content-Length: 02\r\n\r\nhi", id="leading-zero"),
        pytest.param(HEAD + b"Content-Length: +2\r\n\r\nhi", id="sign"),
        pytest.param(HEAD + b"Content-Length : 2\r\n\r\nhi", id="space"),
        pytest.param(HEAD + b"X-Content-Length: 2\r\n\r\nhi", id="another-name"),
        pytest.param(HEAD + b"Content-Length: 2\r\n \r\n\r\nhi", id="folded"),
        pytest.param(HEAD + b"\r\nhi", id="without-length"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", id="both"
        ),
        pytest.param(HEAD + b"Content-Length: 2\r\n" * 2 + b"\r\nhi", id="twice"),
        pytest.param(HEAD + b"Content-Length: 2\r\n", id="no-end"),
        pytest.param(b"\r\nContent-Length: 2\r\n" + HEAD + b"\r\nhi", id="before-the-status"),
        pytest.param(
            HEAD + b"X: " + b"a" * 4096 + b"\r\nContent-Length: 2\r\n\r\nhi", id="long-head"
        ),
    ],
)
def test_other_answers_are_for_the_parser(data: bytes) -> None:
    """What is not one answer with a length in the usual form, and nothing behind it."""
    assert read(data) is None


def test_a_length_in_the_body_is_none() -> None:
    """Only the head is searched."""
    body = b"\r\nContent-Length: 24\r\n\r\n"
    assert len(body) == 24
    assert read(HEAD + b"\r\n" + body) is None
