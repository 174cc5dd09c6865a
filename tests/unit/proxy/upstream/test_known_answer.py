"""Which answers need no parser: whole in one read, or begun with a length."""

import pytest

from gateway.headers.response import ResponseFields
from gateway.proxy.upstream.known_answer import BegunAnswer, WholeAnswer, known_answer

HEAD = b"HTTP/1.1 200 OK\r\nA: b\r\n"


def read(data: bytes) -> WholeAnswer | BegunAnswer | None:
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
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked"),
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
