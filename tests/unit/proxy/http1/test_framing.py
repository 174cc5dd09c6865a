"""Where a body ends, decided for each side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import (
    BadRequest,
    BadUpstreamAnswer,
    BodyTooLarge,
    Refusal,
    UnsupportedCoding,
)
from gateway.proxy.http1.framing import (
    LAST_CHUNK,
    BodyKind,
    Framing,
    encode_chunk,
    encode_whole,
    request_framing,
    response_framing,
)
from tests.fakes.heads import multidict

NONE = Framing(BodyKind.NONE)
CLOSE = Framing(BodyKind.CLOSE)
CHUNKED = Framing(BodyKind.CHUNKED, b"Transfer-Encoding: chunked\r\n")


def length(octets: int | str) -> Framing:
    """Framing by length."""
    return Framing(BodyKind.LENGTH, f"Content-Length: {octets}\r\n".encode())


def only_told(octets: int) -> Framing:
    """A length without a body."""
    return Framing(BodyKind.NONE, f"Content-Length: {octets}\r\n".encode())


TE, CL = "Transfer-Encoding", "Content-Length"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], NONE, id="no-body"),
        pytest.param([(CL, "0")], length(0), id="an-empty-body"),
        pytest.param([(CL, "5")], length(5), id="a-length"),
        pytest.param([(CL, "1000")], length(1000), id="as-long-as-may-be"),
        pytest.param([(CL, "007")], length(7), id="zeros-in-front-are-not-passed-on"),
        pytest.param([(CL, "0" * 5000 + "7")], length(7), id="more-digits-than-python-reads"),
        pytest.param([(CL, "0" * 5000)], length(0), id="nothing-but-zeros"),
        pytest.param([("content-length", "5")], length(5), id="names-have-no-case"),
        pytest.param([(TE, "chunked")], CHUNKED, id="chunked"),
        pytest.param([(TE, "CHUNKED")], CHUNKED, id="codings-have-no-case"),
        pytest.param([(TE, "chunked"), (CL, "5")], CHUNKED, id="chunked-goes-before-a-length"),
        pytest.param([(CL, "1001")], BodyTooLarge, id="one-too-many"),
        pytest.param([(CL, "9" * 30)], BodyTooLarge, id="more-than-64-bits"),
        pytest.param([(CL, "9" * 5000)], BodyTooLarge, id="more-than-python-reads"),
        pytest.param([(CL, "")], BadRequest, id="an-empty-length"),
        pytest.param([(CL, "-1")], BadRequest, id="a-negative-length"),
        pytest.param([(CL, "+5")], BadRequest, id="a-plus-sign"),
        pytest.param([(CL, "5, 5")], BadRequest, id="a-list"),
        pytest.param([(CL, "5 ")], BadRequest, id="a-space"),
        pytest.param([(CL, "0x5")], BadRequest, id="hexadecimal"),
        pytest.param([(CL, "1_0")], BadRequest, id="python-spelling"),
        pytest.param([(CL, "5.0")], BadRequest, id="a-fraction"),
        pytest.param([(CL, "５")], BadRequest, id="a-digit-that-is-not-ascii"),
        pytest.param([(CL, "²")], BadRequest, id="a-superscript"),
        pytest.param([(TE, "gzip")], UnsupportedCoding, id="another-coding"),
        pytest.param([(TE, "gzip, chunked")], UnsupportedCoding, id="two-codings"),
        pytest.param([(TE, "chunked, chunked")], UnsupportedCoding, id="chunked-twice"),
        pytest.param([(TE, "identity")], UnsupportedCoding, id="identity-is-gone-since-2014"),
        pytest.param([(TE, "xchunked")], UnsupportedCoding, id="nearly-chunked"),
        pytest.param([(TE, "chunked;q=1")], UnsupportedCoding, id="chunked-with-a-parameter"),
        pytest.param([(TE, "\x0bchunked")], UnsupportedCoding, id="a-vertical-tab"),
        pytest.param([(TE, "")], UnsupportedCoding, id="no-coding"),
        pytest.param([(TE, ""), (CL, "5")], UnsupportedCoding, id="no-coding-and-a-length"),
    ],
)
def test_a_request_is_framed_in_one_way(
    fields: list[tuple[str, str]], expected: Framing | type[Refusal]
) -> None:
    """By chunks, by a length within the limit, or not at all; everything else is refused."""
    headers = multidict(*fields)
    if isinstance(expected, Framing):
        assert expected == request_framing(headers, (1, 1), 1000)
    else:
        with pytest.raises(expected):
            request_framing(headers, (1, 1), 1000)


def test_http_1_0_knows_no_chunks() -> None:
    """Chunks in HTTP/1.0 are a smuggler's (RFC 9112 section 6.1); a length is fine."""
    with pytest.raises(BadRequest):
        request_framing(multidict((TE, "chunked")), (1, 0), 1000)
    assert length(5) == request_framing(multidict((CL, "5")), (1, 0), 1000)


@given(st.text() | st.from_regex(r"\A[0-9]{0,40}\Z"))
def test_any_length_is_read_or_refused(text: str) -> None:
    """What goes upstream says the number that came, or nothing goes upstream."""
    try:
        framing = request_framing(multidict((CL, text)), (1, 1), 10**9)
    except (BadRequest, BodyTooLarge):
        return
    assert length(int(text)) == framing


@pytest.mark.parametrize(
    ("fields", "is_chunked", "status", "method", "version", "expected"),
    [
        pytest.param([(CL, "5")], False, 200, "GET", (1, 1), length(5), id="a-length"),
        pytest.param([(CL, "0")], False, 200, "GET", (1, 1), length(0), id="an-empty-body"),
        pytest.param([(CL, "5")], False, 200, "GET", (1, 0), length(5), id="a-length-to-1.0"),
        pytest.param([(TE, "chunked")], True, 200, "GET", (1, 1), CHUNKED, id="chunked"),
        pytest.param([(TE, "Chunked")], True, 200, "GET", (1, 1), CHUNKED, id="chunked-any-case"),
        pytest.param([(TE, "chunked")], True, 200, "GET", (1, 0), CLOSE, id="chunked-to-1.0"),
        pytest.param([], False, 200, "GET", (1, 1), CHUNKED, id="until-closing"),
        pytest.param([], False, 200, "GET", (1, 0), CLOSE, id="until-closing-to-1.0"),
        pytest.param(
            [(CL, "5"), (TE, "chunked")], True, 200, "GET", (1, 1), CHUNKED, id="both-is-chunked"
        ),
        pytest.param([(CL, "5")], False, 200, "HEAD", (1, 1), only_told(5), id="head"),
        pytest.param([], False, 200, "HEAD", (1, 1), NONE, id="head-without-length"),
        pytest.param([(TE, "chunked")], True, 200, "HEAD", (1, 1), NONE, id="head-of-chunked"),
        pytest.param([(TE, "gzip")], False, 200, "HEAD", (1, 1), NONE, id="head-of-any-coding"),
        pytest.param([(CL, "5")], False, 304, "GET", (1, 1), only_told(5), id="not-modified"),
        pytest.param([], False, 304, "GET", (1, 0), NONE, id="not-modified-without-length"),
        pytest.param([], False, 204, "GET", (1, 1), NONE, id="no-content"),
        pytest.param([(CL, "5")], False, 204, "GET", (1, 1), NONE, id="no-content-with-length"),
        pytest.param([(CL, "5")], False, 204, "HEAD", (1, 1), NONE, id="head-of-no-content"),
        pytest.param([(CL, "5")], False, 500, "POST", (1, 1), length(5), id="errors-have-bodies"),
    ],
)
def test_an_answer_is_framed_for_its_client(
    fields: list[tuple[str, str]],
    is_chunked: bool,
    status: int,
    method: str,
    version: tuple[int, int],
    expected: Framing,
) -> None:
    """The client can always tell where the body ends and whether it is whole."""
    headers = multidict(*fields)
    assert expected == response_framing(headers, status, method, version, is_chunked=is_chunked)


@pytest.mark.parametrize(
    ("fields", "is_chunked"),
    [
        pytest.param([(TE, "gzip")], False, id="compressed-until-closing"),
        pytest.param([(TE, "gzip, chunked")], True, id="compressed-in-chunks"),
        pytest.param([(TE, "chunked, gzip")], False, id="chunked-not-last"),
        pytest.param([(TE, "chunked"), (TE, "gzip")], False, id="chunked-not-last-in-two-fields"),
        pytest.param([(TE, "gzip"), (TE, "chunked")], True, id="compressed-in-two-fields"),
        pytest.param([(TE, "identity"), (CL, "5")], False, id="identity-with-a-length"),
        pytest.param([(TE, "")], False, id="no-coding"),
    ],
)
def test_a_coding_that_would_get_lost_is_refused(
    fields: list[tuple[str, str]], is_chunked: bool
) -> None:
    """Without its field, a compressed body would reach the client as if it were the content."""
    with pytest.raises(BadUpstreamAnswer):
        response_framing(multidict(*fields), 200, "GET", (1, 1), is_chunked=is_chunked)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"a", b"1\r\na\r\n", id="one-octet"),
        pytest.param(b"\r\n", b"2\r\n\r\n\r\n", id="a-line-break"),
        pytest.param(b"x" * 255, b"ff\r\n" + b"x" * 255 + b"\r\n", id="hexadecimal"),
    ],
)
def test_a_chunk_says_how_long_it_is(data: bytes, expected: bytes) -> None:
    """Length in hexadecimal, data, line break; the last one is empty."""
    assert expected == encode_chunk(data)
    assert b"0\r\n\r\n" == LAST_CHUNK


@pytest.mark.parametrize(
    ("framing", "data", "expected"),
    [
        pytest.param(Framing(BodyKind.LENGTH), b"ab", b"ab", id="length"),
        pytest.param(Framing(BodyKind.CLOSE), b"ab", b"ab", id="close"),
        pytest.param(Framing(BodyKind.CHUNKED), b"ab", b"2\r\nab\r\n0\r\n\r\n", id="chunked"),
        pytest.param(Framing(BodyKind.CHUNKED), b"", b"0\r\n\r\n", id="no-chunk-but-the-last"),
    ],
)
def test_encode_whole(framing: Framing, data: bytes, expected: bytes) -> None:
    """A body that is whole needs no further chunk."""
    assert expected == encode_whole(framing, data)
