"""How a chunked body is divided into parts, and where it ends."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.http1.chunks import (
    FRAMING_ALLOWANCE_BYTES,
    MAX_JOINED,
    WORK_OF_A_CHUNK,
    ChunkScanner,
)
from gateway.proxy.http1.parser import HttpProcessingError, HttpProtocol, request_parser

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
ONE = b"1\r\nx\r\n"
LAST = b"0\r\n\r\n"

CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=9)
EXTENSIONS = st.sampled_from([b"", b"", b"", b";a", b';a="b c"'])
TRAILERS = st.lists(st.sampled_from([b"A: b\r\n", b"0: 0\r\n", b"X-MD5: \r\n"]), max_size=3)
CUTS = st.lists(st.integers(1, 30), max_size=20)


def encoded(chunks: list[bytes], extension: bytes, trailers: list[bytes]) -> bytes:
    """A chunked body."""
    parts = [b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
    return b"".join([*parts, b"0", extension, b"\r\n", *trailers, b"\r\n"])


def reads(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """``data``, as it may come."""
    for cut in cuts:
        yield data[:cut]
        data = data[cut:]
    yield data


def parts_of(data: bytes, cuts: list[int]) -> tuple[list[bytes], bytes | None]:
    """The parts of a body, and what is behind it; None if it has not ended."""
    scanner, parts, coming = ChunkScanner(), [], reads(data, cuts)
    for read in coming:
        rest = read
        while rest:
            part, rest, is_last = scanner.take(rest)
            parts.append(part)
            if is_last:
                return parts, rest + b"".join(coming)
    return parts, None


def parsed(parts: list[bytes]) -> bytes | None:
    """What the parser reads in a body; None if it refuses it. It must have ended."""
    loop = asyncio.new_event_loop()
    try:
        parser = request_parser(HttpProtocol(loop), loop, 16384)
        ((_, body),), _, _ = parser.feed_data(HEAD)
        for part in parts:
            parser.feed_data(part)
        assert body.is_eof()
        return body.read_nowait()
    except HttpProcessingError:
        return None
    finally:
        loop.close()


@given(CHUNKS, EXTENSIONS, TRAILERS, st.binary(max_size=20), CUTS)
def test_the_parts_are_the_body(
    chunks: list[bytes], extension: bytes, trailers: list[bytes], behind: bytes, cuts: list[int]
) -> None:
    """For any content, any bytes behind it, and any division into reads."""
    parts, rest = parts_of(encoded(chunks, extension, trailers) + behind, cuts)
    assert behind == rest
    assert b"".join(chunks) == parsed(parts)


@given(st.text("0126afAF-+_x \t;\r\n", max_size=60), CUTS)
def test_what_is_malformed_stays_so(text: str, cuts: list[int]) -> None:
    """The parser refuses, or reads, the parts as it does the bytes that came."""
    data = text.encode()
    parts, rest = parts_of(data, cuts)
    if rest is not None:
        assert parsed([data.removesuffix(rest)]) == parsed(parts)


@pytest.mark.parametrize("size", [b"x", b"", b"-1", b"-6", b"-8", b" 5", b"--6", b"-0"])
def test_what_is_no_size(size: bytes) -> None:
    """It is left to the parser, which refuses it; the scanner does not fail, nor look for ever."""
    data = size + b"\r\nabc"
    assert (data, b"", False) == ChunkScanner().take(data)


@pytest.mark.parametrize("size", [1, 3, 15, 16, 255])
def test_small_chunks_become_one(size: int) -> None:
    """Each would cost the parser more than it brings."""
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    part, rest, is_last = ChunkScanner().take(chunk * 10 + LAST)
    assert (b"%x\r\n%b\r\n" % (size * 10, b"x" * size * 10) + LAST, b"", True) == (
        part,
        rest,
        is_last,
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"5\r\nhello\r\n" + LAST, id="one-small-chunk"),
        pytest.param((b"1000\r\n" + b"x" * 4096 + b"\r\n") * 9 + LAST, id="large-chunks"),
    ],
)
def test_other_chunks_are_not_copied(body: bytes) -> None:
    """A read passes as it is."""
    assert body is ChunkScanner().take(body)[0]


@pytest.mark.parametrize(
    ("chunk", "at_most"),
    [
        pytest.param(ONE, MAX_JOINED, id="plain"),
        pytest.param(b"1;a\r\nx\r\n", MAX_JOINED // WORK_OF_A_CHUNK, id="extended"),
        pytest.param(b"01\r\nx\r\n", MAX_JOINED // WORK_OF_A_CHUNK, id="zeros"),
    ],
)
def test_a_part_holds_so_many_chunks(chunk: bytes, at_most: int) -> None:
    """However many came: the rest has to wait until others have had their turn."""
    part, rest, is_last = ChunkScanner().take(chunk * (at_most + 5))
    assert (False, len(chunk) * 5) == (is_last, len(rest))
    assert b"x" * at_most == parsed([part, LAST])


def test_large_chunks_are_no_work() -> None:
    """What counts is how many there are, not how long."""
    data = (b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n") * 100
    assert (data, b"", False) == ChunkScanner().take(data)


def test_overhead_is_counted() -> None:
    """What is neither data nor its size counts: the longest of it."""
    scanner = ChunkScanner()
    scanner.take(b"1;" + b"x" * 100)
    assert scanner.overhead_bytes == 102
    scanner.take(b"\r\na\r\n1\r\nb\r\n")
    assert scanner.overhead_bytes == 104
    scanner.take(b"0\r\n" + b"A: b\r\n" * 20)
    assert scanner.overhead_bytes == 120


def outweighs(*parts: bytes, reads_each: int = 0) -> bool:
    """Whether a body of such parts has too much framing."""
    scanner = ChunkScanner()
    for part in parts:
        for _ in range(reads_each):
            scanner.begin_read()
        rest = part
        while rest and not scanner.outweighs_data:
            _, rest, _ = scanner.take(rest)
    return scanner.outweighs_data


SIGNED = b"10000;chunk-signature=%b\r\n%b\r\n" % (b"a" * 64, b"x" * 65536)
LARGE = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
MANY = 2 * FRAMING_ALLOWANCE_BYTES


@pytest.mark.parametrize(
    ("parts", "reads_each", "expected"),
    [
        pytest.param([ONE * MANY], 0, True, id="single-bytes"),
        pytest.param([b"1\r\nx\r\n2\r\nyz\r\n" * MANY], 0, True, id="one-byte-and-two"),
        pytest.param([b"1;abcdefgh\r\nx\r\n" * MANY], 0, True, id="single-bytes-with-extensions"),
        pytest.param([b"10;%b\r\n%b\r\n" % (b"a" * 99, b"x" * 16) * 999], 0, True, id="extensions"),
        pytest.param([b"0" * 99 + b"1\r\nx\r\n"] * 999, 0, True, id="zeros-in-front"),
        pytest.param([LARGE, ONE * MANY], 0, True, id="single-bytes-behind-much-data"),
        pytest.param([LARGE], 0, False, id="one-large-chunk"),
        pytest.param([ONE * 4000], 0, False, id="a-short-text-byte-by-byte"),
        pytest.param([ONE] * MANY, 1, False, id="keystrokes"),
        pytest.param([ONE * 8] * MANY, 1, False, id="keystrokes-that-were-held-up"),
        pytest.param([b"3\r\n12\n\r\n" * MANY], 0, False, id="lines-of-three-bytes"),
        pytest.param([b"14\r\n%b\r\n" % (b"x" * 20) * MANY], 0, False, id="json-lines"),
        pytest.param([b"5\r\n\0\0\0\0\1\r\n1\r\nx\r\n" * MANY], 0, False, id="grpc-web"),
        pytest.param([SIGNED] * 99, 0, False, id="signed-chunks"),
    ],
)  # fmt: skip
def test_framing_may_not_far_outweigh_data(
    parts: list[bytes], reads_each: int, expected: bool
) -> None:
    """Twice the data and an allowance; what honest clients stream stays far below."""
    assert expected is outweighs(*parts, reads_each=reads_each)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("body", "parsable"),
    [
        pytest.param(b"5; a=b\r\nhello\r\n" + LAST, b"5\r\nhello\r\n" + LAST, id="one"),
        pytest.param(
            b"1;a\r\nx\r\n2 ;b\r\nyz\r\n0; c\r\nA: b\r\n\r\n",
            b"1\r\nx\r\n2\r\nyz\r\n0\r\nA: b\r\n\r\n",
            id="all",
        ),
        pytest.param(b"1;;a\r\nx\r\n" + LAST, b";\r\nx\r\n" + LAST, id="malformed"),
        pytest.param(b"3\r\n;;a\r\n" + LAST, b"3\r\n;;a\r\n" + LAST, id="data"),
        pytest.param(b"5\r\nhello\r\n" + LAST, b"5\r\nhello\r\n" + LAST, id="none"),
    ],
)
def test_extensions_do_not_reach_the_parser(step: int, body: bytes, parsable: bytes) -> None:
    """However the bytes are cut up; a line is held back until its end is known."""
    scanner, taken, is_last = ChunkScanner(), b"", False
    for at in range(0, len(body), step):
        part, rest, is_last = scanner.take(body[at : at + step])
        taken += part
        assert rest == b""
    assert (parsable, True) == (taken, is_last)
