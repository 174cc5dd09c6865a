"""Which heads of answers need no parser, and what the client gets of them."""

import pytest

from gateway.headers.answer_limits import LIMIT_FIELDS
from gateway.headers.answer_lines import AnswerHead, AnswerHeads
from gateway.headers.response import ResponseFields

OK = b"HTTP/1.1 200 OK"


def judged(*lines: bytes, heads: AnswerHeads | None = None) -> AnswerHead | None:
    """What is known of a head of ``lines``, whose Content-Length was the last but one."""
    *before, last = lines
    heads = ResponseFields("session").of_apps if heads is None else heads
    return heads[b"\r\n".join(before), last + b"\r\n"]


def test_lines_reach_the_client_as_the_parser_would_hand_them_on() -> None:
    """In order, with one space; hop-by-hop fields, and those of the gateway, are dropped."""
    head = judged(
        b"HTTP/1.1 302 Moved Temporarily",
        b"Connection: Keep-Alive",
        b"Keep-Alive: timeout=5",
        b"X-A:\t  1",
        b"x-request-id: of the app",
        b"Vary:a",
        b"Vary: b",
    )
    block = b"HTTP/1.1 302 Moved Temporarily\r\nX-A: 1\r\nVary: a\r\nVary: b\r\n"
    assert AnswerHead(302, block, has_date=False, has_cors=False) == head


def test_the_length_may_be_the_last_line() -> None:
    """Nothing follows it then."""
    assert (
        AnswerHead(200, OK + b"\r\nA: b\r\n", has_date=False, has_cors=False)
        == (ResponseFields("session").of_apps[OK + b"\r\nA: b", b""])
    )


def test_a_head_says_what_the_gateway_has_to_add_or_replace() -> None:
    """In any spelling of the names."""
    head = judged(OK, b"DATE: now", b"access-control-max-age: 5")
    assert head is not None
    assert (True, True) == (head.has_date, head.has_cors)
    assert (False, "") == (head.has_limits, head.cost)


@pytest.mark.parametrize("name", sorted(LIMIT_FIELDS))
def test_a_head_says_whether_the_app_told_of_limits(name: bytes) -> None:
    """Each of the fields may have to be replaced."""
    head = judged(OK, name.title() + b": 5", b"A: b")
    assert head is not None
    assert head.has_limits
    assert name.title() + b": 5" in head.block


def test_a_head_says_what_the_request_cost() -> None:
    """The line reaches no client; two of them are for the parser."""
    head = judged(OK, b"x-gateway-COST: \t12 ", b"A: b")
    assert head is not None
    assert ("12", OK + b"\r\nA: b\r\n") == (head.cost, head.block)
    assert judged(OK, b"X-Gateway-Cost: 1", b"X-Gateway-Cost: 1", b"A: b") is None


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Connection: close", id="close"),
        pytest.param(b"Connection: keep-alive, X-A", id="nominated"),
        pytest.param(b"Proxy-Connection: keep-alive", id="proxy-connection"),
        pytest.param(b"Content-Length: 5", id="second-length"),
        pytest.param(b"content-length: x", id="no-length"),
        pytest.param(b"Transfer-Encoding: chunked", id="coding"),
        pytest.param(b"Trailer: X-A", id="trailer"),
        pytest.param(b"Upgrade: h2c", id="upgrade"),
        pytest.param(b"Sec-WebSocket-Key1: a", id="refused-by-the-parser"),
        pytest.param(b" folded", id="folded"),
        pytest.param(b"A : b", id="space-before-colon"),
        pytest.param(b"A\xff: b", id="no-token"),
        pytest.param(b"A: b\x00", id="nul"),
        pytest.param(b"A: b\rc", id="bare-cr"),
        pytest.param(b"A: b\nc", id="bare-lf"),
        pytest.param(b"A: b\x7f", id="del"),
        pytest.param(b"A:", id="no-value"),
        pytest.param(b"A", id="no-colon"),
        pytest.param(b"", id="empty"),
        pytest.param(b"Content-Type: a", id="twice"),
    ],
)
def test_a_line_that_may_mean_more_is_for_the_parser(line: bytes) -> None:
    """Wherever it stands; the head without it is judged."""
    heads = ResponseFields("session").of_apps
    assert judged(OK, b"content-type: a", b"X: y", heads=heads) is not None
    for _ in range(2):  # the second time the line is known
        assert judged(OK, line, b"content-type: a", b"X: y", heads=heads) is None
        assert judged(OK, b"content-type: a", b"X: y", line, heads=heads) is None


@pytest.mark.parametrize(
    "status_line",
    [
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200 OK ",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 103 Early Hints",
        b"HTTP/1.1 600 Odd",
        b"",
    ],
)
def test_other_status_lines_are_for_the_parser(status_line: bytes) -> None:
    """Answers without a body, interim ones, other versions, and what is not strictly formed."""
    assert judged(status_line, b"A: b") is None


def test_an_app_sets_no_session() -> None:
    """Its other cookies pass."""
    head = judged(OK, b"Set-Cookie: session=1", b"Set-Cookie: a=1", b"set-cookie: =session=2")
    assert head is not None
    assert OK + b"\r\nSet-Cookie: a=1\r\n" == head.block


def test_heads_that_come_again_are_kept() -> None:
    """The same object is found; made-up heads and lines do not grow the table."""
    heads = ResponseFields("session").of_apps
    first = judged(OK, b"A: b", heads=heads)
    for number in range(5000):
        judged(OK, b"ETag: %d" % number, heads=heads)
        assert judged(OK, b"A: b", heads=heads) is first
    assert len(heads) <= 256


def test_names_and_lines_in_use_outlive_made_up_ones() -> None:
    """One that is found in the older generation is young again."""
    heads = ResponseFields("session").of_apps
    for number in range(5000):
        names = b"N%d: a" % number, b"A: %d" % number
        assert judged(OK, b"B: c", *names, heads=heads) is not None
    lines = heads._lines
    assert b"B: c" in lines
    assert b"A" in lines._names
    assert b"N0" not in lines._names


def test_long_names_are_not_kept() -> None:
    """So the memory of their table is bounded, too."""
    heads = ResponseFields("session").of_apps
    assert judged(OK, b"n" * 200 + b": a", heads=heads) is not None
    assert {} == heads._lines._names


def test_cookies_are_not_kept() -> None:
    """They may be credentials."""
    heads = ResponseFields("session").of_apps
    assert judged(OK, b"Set-Cookie: a=secret", b"A: b", heads=heads) is not None
    assert {} == heads
    assert b"secret" not in repr(vars(heads)).encode()


def test_long_lines_are_not_kept() -> None:
    """So the memory of the table is bounded."""
    heads = ResponseFields("session").of_apps
    assert judged(OK, b"A: " + b"b" * 600, heads=heads) is not None
    assert b"bbb" not in repr(heads._lines).encode()
