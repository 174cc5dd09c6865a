"""What the parsers accept and the gateway refuses."""

import pytest

from gateway.core.errors import BodyTooLarge, ExpectationFailed, Refusal, UnsupportedVersion
from gateway.proxy.http1.framing import NO_BODY, BodyKind, Framing
from gateway.proxy.http1.parser import NOTHING, WholeBody
from gateway.proxy.http1.strict import (
    check_request,
    framing_of,
    has_lost_body,
    has_strict_line,
    keeps_alive,
    response_fault,
)
from tests.fakes.heads_parsed import parsed_request, parsed_response

HOST = b"Host: a\r\n"


def head(*lines: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    """A request's head with ``lines`` after Host."""
    fields = b"".join(line + b"\r\n" for line in lines)
    return method + b" /x HTTP/" + version + b"\r\n" + HOST + fields + b"\r\n"


async def test_a_request_without_a_body_has_no_framing() -> None:
    """And one with a length has it."""
    assert NO_BODY == check_request(parsed_request(head())[0], 10)
    message, _ = parsed_request(head(b"Content-Length: 3", method=b"POST"))
    assert BodyKind.LENGTH is check_request(message, 10).kind


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        pytest.param(head(b"Expect: 200-ok"), ExpectationFailed, id="unknown-expectation"),
        pytest.param(
            head(b"Expect: 100-continue", b"Expect: other"), ExpectationFailed, id="one-unknown"
        ),
        pytest.param(head(version=b"0.9"), UnsupportedVersion, id="http-0.9"),
    ],
)
async def test_requests_that_cannot_be_forwarded(data: bytes, refusal: type[Refusal]) -> None:
    """Each is refused with the kind that says why."""
    message, _ = parsed_request(data)
    with pytest.raises(refusal):
        check_request(message, 10)


def test_a_whole_body_is_framed_by_its_size() -> None:
    """The line table has compared it with Content-Length, and let no other framing pass."""
    expected = Framing(BodyKind.LENGTH, b"Content-Length: 10\r\n")
    assert expected == framing_of(None, WholeBody(b"0123456789"), 10)
    assert NO_BODY == framing_of(None, NOTHING, 10)
    with pytest.raises(BodyTooLarge):
        framing_of(None, WholeBody(b"0123456789"), 9)


async def test_nothing_fails_a_whole_body() -> None:
    """All of it has come: the loss of its connection leaves it as it is, until it is read."""
    body = WholeBody(b"all")
    body.set_exception(ConnectionResetError())
    assert body.exception() is None
    assert (True, False) == (body.is_eof(), body.at_eof())
    assert b"all" == await body.readany()
    assert (True, b"") == (body.at_eof(), body.read_nowait())


async def test_100_continue_is_accepted() -> None:
    """In any case of letters; without a body there is nothing to wait for."""
    assert NO_BODY == check_request(parsed_request(head(b"Expect: 100-Continue"))[0], 10)
    lines = b"Content-Length: 3", b"Expect: 100-Continue"
    framing = check_request(parsed_request(head(*lines, method=b"POST"))[0], 10)
    assert framing.expects_continue
    framing = check_request(parsed_request(head(lines[0], method=b"POST"))[0], 10)
    assert not framing.expects_continue


@pytest.mark.parametrize(
    ("data", "is_strict"),
    [
        pytest.param(head(), True, id="canonical"),
        pytest.param(b"\r\n" + head(), True, id="one-empty-line-before"),
        pytest.param(b"\r\n\r\n" + head(), False, id="two-empty-lines-before"),
        pytest.param(b"GET  /x HTTP/1.1\r\n" + HOST + b"\r\n", False, id="two-spaces"),
        pytest.param(b"GET /x RTSP/1.0\r\n" + HOST + b"\r\n", False, id="another-protocol"),
    ],
)
async def test_the_request_line_is_canonical(data: bytes, is_strict: bool) -> None:
    """What the parser does not report is seen in the bytes."""
    message, _ = parsed_request(head(version=b"1.0" if b"RTSP" in data else b"1.1"))
    assert is_strict is has_strict_line(message, data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(head(), True, id="1.1"),
        pytest.param(head(b"Connection: close"), False, id="1.1-close"),
        pytest.param(head(version=b"1.0"), False, id="1.0"),
        pytest.param(head(b"Connection: keep-alive", version=b"1.0"), True, id="1.0-keep-alive"),
        pytest.param(
            head(b"Connection: keep-alive, close", version=b"1.0"), False, id="1.0-close-wins"
        ),
        pytest.param(
            head(b"Proxy-Connection: keep-alive", version=b"1.0"), False, id="1.0-proxy-connection"
        ),
    ],
)
async def test_a_connection_is_kept_as_its_client_asks(data: bytes, expected: bool) -> None:
    """By Connection alone (RFC 9112 section 9.3)."""
    assert expected is keeps_alive(parsed_request(data)[0])


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None, id="good"),
        pytest.param(b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", "status", id="status"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "chunked in HTTP/1.0",
            id="chunked-1.0",
        ),
        pytest.param(b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", "version", id="version"),
    ],
)
async def test_faults_of_answers(data: bytes, fault: str | None) -> None:
    """An answer that the parser accepts may be broken all the same."""
    assert fault == response_fault(parsed_response(data)[0])


TO_H2 = (b"Connection: upgrade", b"Upgrade: h2c")


@pytest.mark.parametrize(
    ("lines", "is_lost"),
    [
        pytest.param((b"Transfer-Encoding: chunked\t", *TO_H2), True, id="white-space-behind"),
        pytest.param((b"Transfer-Encoding: gzip", *TO_H2), True, id="another-coding"),
        pytest.param((b"Transfer-Encoding: chunked", *TO_H2), False, id="chunked"),
        pytest.param((b"Content-Length: 3", *TO_H2), False, id="a-length"),
        pytest.param(TO_H2, False, id="no-body"),
        pytest.param((b"Transfer-Encoding: chunked",), False, id="no-upgrade"),
    ],
)
async def test_the_parser_may_lose_the_body_of_a_request_to_upgrade(
    lines: tuple[bytes, ...], is_lost: bool
) -> None:
    """It has none for the parser, though Transfer-Encoding says that it has one."""
    message, _ = parsed_request(head(*lines, method=b"POST"))
    assert is_lost == has_lost_body(message)
