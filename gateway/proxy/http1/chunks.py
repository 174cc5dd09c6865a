"""Chunked bodies (RFC 9112 section 7.1): where they end, and at what cost they may come."""

import re

from gateway.proxy.http1.chunk_line import without_extensions
from gateway.proxy.http1.framing import encode_chunk

MAX_JOINED = 2048
WORK_OF_A_CHUNK = 8
"""
How many small chunks are joined in one part of a body: less than a millisecond of work.

A chunk that reaches the parser as it came costs as much as eight that are joined.
"""

FRAMING_ALLOWANCE_BYTES = 16 * 1024
FRAMING_RATIO = 2
FRAMING_BYTES_PER_READ = 32
"""
How much framing a body may have: twice its data, and an allowance beyond that.

A chunk costs the gateway about the same whatever its size, so framing without data is work without
traffic. Chunks of three bytes and more never touch the allowance. Smaller ones do, and each read
from the socket fills it up by a little: single keystrokes may go on for ever, a flood may not.
"""

_CRLF = b"\r\n"
_TRAILERS_END = b"\r\n\r\n"
_LONGEST_SMALL_LINE = 4  # two digits and CRLF
_SIZE = re.compile(rb"[0-9A-Fa-f]+")  # Python also reads -6, +6, 0x6 and 1_0: none is a chunk-size
_SMALL_SIZES = {form % size: size for form in (b"%x", b"%X") for size in range(1, 256)}


BodyPart = tuple[bytes, bytes, bool]
"""
A part of a body for the parser; what is left; and whether the body ends with this part.

At the end, what is left belongs to the next message.
"""


class ChunkScanner:
    """
    Divides a chunked body into parts for the parser, and finds its end.

    It validates nothing but extensions, which it cuts off: the parser reads the same chunks and
    refuses malformed ones. Only runs of small chunks in their plainest form reach the parser as one
    chunk with the same data: here each costs a tenth of what it costs there.
    """

    __slots__ = (
        "_credit_bytes",
        "_is_in_trailers",
        "_line",
        "_longest_bytes",
        "_skip_bytes",
        "_trailer_bytes",
    )

    def __init__(self) -> None:
        self._line = b""
        """The beginning of a line; in trailers, the last bytes that were read."""
        self._skip_bytes = 0
        self._is_in_trailers = False
        self._trailer_bytes = self._longest_bytes = 0
        self._credit_bytes = FRAMING_ALLOWANCE_BYTES

    @property
    def overhead_bytes(self) -> int:
        """Size of the longest line, or of the trailers: neither counts as data."""
        return max(self._longest_bytes, self._trailer_bytes)

    @property
    def outweighs_data(self) -> bool:
        """Whether there is more framing than the data, and the allowance, account for."""
        return self._credit_bytes < 0

    def begin_read(self) -> None:
        """Note that a read from the socket follows: it is allowed some framing of its own."""
        if self._credit_bytes < FRAMING_ALLOWANCE_BYTES:
            self._credit_bytes += FRAMING_BYTES_PER_READ

    def take(self, data: bytes) -> BodyPart:
        """Return what of ``data`` to parse now: not too many chunks, and no other message."""
        pieces: list[bytes] = []
        at, taken, left = 0, 0, MAX_JOINED
        while at < len(data) and not self._is_in_trailers:
            if self._skip_bytes:
                at += self._skip(len(data) - at)
                continue
            if left <= 0:
                break
            end, chunks = (at, []) if self._line else _small_chunks(data, at, left)
            if len(chunks) > 1:
                pieces += data[taken:at], self._join(chunks, end - at)
                taken = at = end
                left -= len(chunks)
            else:
                start, at = at, data.find(b"\n", at) + 1 or len(data)
                line = self._line + data[start:at]
                parsable = self._read_line(line)
                if parsable is not line or len(line) > at - start:
                    pieces += data[taken:start], parsable
                    taken = at
                left -= WORK_OF_A_CHUNK
        end, is_last = self._end_of_trailers(data, at) if self._is_in_trailers else (at, False)
        if not pieces and end == len(data):
            return data, b"", is_last
        return b"".join((*pieces, data[taken:end])), data[end:], is_last

    def _skip(self, available_bytes: int) -> int:
        """Return how much of the next bytes is data of the chunk that is under way."""
        step = min(self._skip_bytes, available_bytes)
        self._skip_bytes -= step
        return step

    def _join(self, chunks: list[bytes], size: int) -> bytes:
        """Return one chunk for ``chunks``, which came in ``size`` bytes."""
        chunk = b"".join(chunks)
        self._account(size - len(chunk), len(chunk) * FRAMING_RATIO)
        return encode_chunk(chunk)

    def _read_line(self, line: bytes) -> bytes:
        """
        Read the line before a chunk; return it as the parser gets it.

        An incomplete line is held back: the extensions that it may end in are cut off.
        """
        self._longest_bytes = max(self._longest_bytes, len(line))
        if not line.endswith(b"\n"):
            self._line = line
            return b""
        size = _size(line)
        if size:
            self._line, self._skip_bytes = b"", size + len(_CRLF)
            self._account(len(line) + len(_CRLF), size * FRAMING_RATIO)
        else:
            self._line, self._is_in_trailers = _CRLF, True
        return without_extensions(line) if b";" in line else line

    def _end_of_trailers(self, data: bytes, at: int) -> tuple[int, bool]:
        """Return where the trailers end, as far as they came, and whether that is all of them."""
        kept = self._line
        trailers = kept + data[at:]
        found = trailers.find(_TRAILERS_END)
        self._line = trailers[1 - len(_TRAILERS_END) :]
        if found < 0:
            self._trailer_bytes += len(data) - at
            return len(data), False
        end = at + found + len(_TRAILERS_END) - len(kept)
        self._trailer_bytes += end - at
        return end, True

    def _account(self, framing_bytes: int, allowed_bytes: int) -> None:
        self._credit_bytes = min(
            FRAMING_ALLOWANCE_BYTES, self._credit_bytes + allowed_bytes - framing_bytes
        )


def _small_chunks(data: bytes, at: int, at_most: int) -> tuple[int, list[bytes]]:
    """
    Return the small chunks that follow each other from ``at`` on, and where they end.

    Each is whole, and its line is nothing but a size of one or two digits.
    """
    chunks: list[bytes] = []
    find, size_of = data.find, _SMALL_SIZES.get
    while len(chunks) < at_most:
        line_end = find(_CRLF, at, at + _LONGEST_SMALL_LINE)
        size = size_of(data[at:line_end]) if line_end > at else None
        if size is None:
            break
        end = line_end + 2 + size
        if data[end : end + 2] != _CRLF:
            break  # incomplete, or malformed
        chunks.append(data[line_end + 2 : end])
        at = end + 2
    return at, chunks


def _size(line: bytes) -> int:
    """Return the chunk-size of a line; 0 if malformed: the parser refuses that."""
    digits = _SIZE.match(line)
    return int(digits[0], 16) if digits is not None else 0
