"""
Splits the bytes of a client at the boundaries of its messages.

The parser is fed parts of one message at a time. Fed with more, it does not report where in a read
a message ended; and aiohttp's (3.14.5) makes the last trailer of a message a field of the next one:
a credential in a trailer would become the next request's.
"""

from gateway.proxy.http1.chunks import ChunkScanner

_HEAD_END = b"\r\n\r\n"


class MessageSplitter:
    """Tracks in which part of a message the next byte is; the parser validates the parts."""

    __slots__ = ("_chunks", "_left_bytes", "is_in_head", "partial_head")

    def __init__(self) -> None:
        self.is_in_head = True
        self.partial_head = b""
        """The bytes of an incomplete head."""
        self._left_bytes = 0
        """What is left of a body with a length."""
        self._chunks: ChunkScanner | None = None

    @property
    def is_between(self) -> bool:
        """Whether the next byte is the first of a head."""
        return self.is_in_head and not self.partial_head

    @property
    def has_chunks(self) -> bool:
        """Whether the body is chunked."""
        return self._chunks is not None

    @property
    def overhead_bytes(self) -> int:
        """Size of the trailers, or of a line between chunks."""
        return self._chunks.overhead_bytes if self._chunks is not None else 0

    def head_end(self, data: bytes) -> int | None:
        """Return where in ``data`` the head ends; None if it does not, and all is kept."""
        partial_head = self.partial_head
        found = (partial_head + data).find(
            _HEAD_END, max(0, len(partial_head) - len(_HEAD_END) + 1)
        )
        if found < 0:
            self.partial_head += data
            return None
        return found + len(_HEAD_END) - len(partial_head)

    def begin_body(self, length_bytes: int | None) -> None:
        """Note that a head is complete; ``length_bytes`` is None if its body is chunked."""
        self.partial_head = b""
        self._left_bytes = length_bytes or 0
        self._chunks = ChunkScanner() if length_bytes is None else None
        self.is_in_head = length_bytes == 0

    def body_end(self, data: bytes) -> int | None:
        """Return where in ``data`` the body ends; None if it does not."""
        if self._chunks is not None:
            return self._chunks.end(data)
        if len(data) < self._left_bytes:
            self._left_bytes -= len(data)
            return None
        return self._left_bytes

    def end_body(self) -> None:
        """Note that the body is complete: a head is next."""
        self.is_in_head, self._chunks, self._left_bytes = True, None, 0
