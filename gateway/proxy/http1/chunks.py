"""The end of a chunked body (RFC 9112 section 7.1)."""

import re

_CRLF_BYTES = 2
_SIZE = re.compile(rb"[0-9A-Fa-f]+")  # Python also reads -6, +6, 0x6 and 1_0: none is a chunk-size


class ChunkScanner:
    """
    Finds the end of a chunked body without parsing its data.

    It validates nothing: the parser reads the same bytes and refuses malformed ones.
    """

    __slots__ = ("_is_in_trailers", "_line", "_longest_bytes", "_run_bytes", "_skip_bytes")

    def __init__(self) -> None:
        self._line = b""
        self._skip_bytes = 0
        self._is_in_trailers = False
        self._run_bytes = self._longest_bytes = 0

    @property
    def overhead_bytes(self) -> int:
        """Size of the longest line, or of the trailers: neither counts as data."""
        return max(self._longest_bytes, self._run_bytes)

    def end(self, data: bytes) -> int | None:
        """Return where in ``data`` the body ends; None if all of ``data`` belongs to it."""
        at, size = 0, len(data)
        while at < size:
            if self._skip_bytes:
                step = min(self._skip_bytes, size - at)
                self._skip_bytes -= step
                at += step
                continue
            line_end = data.find(b"\n", at) + 1 or size
            self._line += data[at:line_end]
            self._run_bytes += line_end - at
            at = line_end
            if self._line.endswith(b"\n") and self._is_last(self._line):
                return at
        return None

    def _is_last(self, line: bytes) -> bool:
        """Read a whole line; return whether it ends the body."""
        self._line = b""
        if self._is_in_trailers:
            return line == b"\r\n"
        size = _size(line)
        self._is_in_trailers = size == 0
        self._skip_bytes = size + _CRLF_BYTES if size else 0
        self._longest_bytes = self.overhead_bytes
        self._run_bytes = 0
        return False


def _size(line: bytes) -> int:
    """Return the chunk-size of a line; 0 if malformed: the parser refuses that."""
    digits = _SIZE.match(line)
    return int(digits[0], 16) if digits is not None else 0
