"""Where a chunked body ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.http1.chunks import ChunkScanner

CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
EXTENSIONS = st.sampled_from([b"", b";a", b';a="b c"', b"; x = y"])
TRAILERS = st.lists(st.sampled_from([b"A: b\r\n", b"0: 0\r\n", b"Content-MD5: \r\n"]), max_size=3)


def encoded(chunks: list[bytes], extension: bytes, trailers: list[bytes]) -> bytes:
    """A chunked body."""
    parts = [b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
    return b"".join([*parts, b"0", extension, b"\r\n", *trailers, b"\r\n"])


@given(
    CHUNKS, EXTENSIONS, TRAILERS, st.binary(max_size=20), st.lists(st.integers(1, 9), max_size=9)
)
def test_the_end_is_found(
    chunks: list[bytes], extension: bytes, trailers: list[bytes], behind: bytes, cuts: list[int]
) -> None:
    """For any content, any bytes behind it, and any division into parts."""
    body, scanner, taken = encoded(chunks, extension, trailers), ChunkScanner(), 0
    reads, data = [], body + behind
    for cut in cuts:
        reads.append(data[:cut])
        data = data[cut:]
    for read in [*reads, data]:
        end = scanner.end(read)
        taken += len(read) if end is None else end
        if end is not None:
            break
    assert taken == len(body)


@pytest.mark.parametrize("size", [b"x", b"", b"-1", b"-6", b"-8", b" 5", b"--6", b"-0"])
def test_what_is_no_size(size: bytes) -> None:
    """It is left to the parser, which refuses it; the scanner does not fail, nor look for ever."""
    assert ChunkScanner().end(size + b"\r\nabc") is None


@given(st.text("0126afAF-+_x \t;\r\n", max_size=40))
def test_each_byte_is_scanned_once(text: str) -> None:
    """The scanner goes forward only: a size that is below zero must not lead it back."""
    data = text.encode()
    end = ChunkScanner().end(data)
    assert end is None or 0 < end <= len(data)


def test_overhead_is_counted() -> None:
    """What is neither data nor its size counts: the longest of it."""
    scanner = ChunkScanner()
    scanner.end(b"1;" + b"x" * 100)
    assert scanner.overhead_bytes == 102
    scanner.end(b"\r\na\r\n1\r\nb\r\n")
    assert scanner.overhead_bytes == 104
    scanner.end(b"0\r\n" + b"A: b\r\n" * 20)
    assert scanner.overhead_bytes == 120
