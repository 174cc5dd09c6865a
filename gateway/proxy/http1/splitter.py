"""
Splits the bytes of a client at the boundaries of its messages.

The parser is fed parts of one message at a time. Fed with more, it does not report where in a read
a message ended; and aiohttp's (3.14.5) makes the last trailer of a message a field of the next one:
a credential in a trailer would become the next request's.
"""

from gateway.proxy.http1.chunks import BodyPart, ChunkScanner

LONG_BODY_BYTES = 128 * 1024
"""
A longer body, of a known length, is not parsed: that would copy it, to count its bytes.

It is as much as is read of a body that is not taken: one of that length needs no close if its
request is refused.
"""

_HEAD_END = b"\r\n\r\n"


class MessageSplitter:
    """Tracks in which part of a message the next byte is; the parser validates the parts."""

    __slots__ = ("_chunks", "_left_bytes", "has_long_body", "is_in_head", "partial_head")

    def __init__(self) -> None:
        self.is_in_head = True
        self.partial_head = b""
        """The bytes of an incomplete head."""
        self._left_bytes = 0
        """What is left of a body with a length."""
        self.has_long_body = False
        """Whether the body is longer than `LONG_BODY_BYTES`, as its length says."""
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

    @property
    def outweighs_data(self) -> bool:
        """Whether the body has far more framing than data."""
        return self._chunks is not None and self._chunks.outweighs_data

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
        self.has_long_body = self._left_bytes > LONG_BODY_BYTES
        self._chunks = ChunkScanner() if length_bytes is None else None
        self.is_in_head = length_bytes == 0

    def begin_body_read(self) -> None:
        """Note that a read from the socket follows, which goes on with a body."""
        if self._chunks is not None:
            self._chunks.begin_read()

    def body_part(self, data: bytes) -> BodyPart:
        """Return what of ``data`` to parse now as a part of the body, and what is left."""
        if self._chunks is not None:
            return self._chunks.take(data)
        end = self._left_bytes
        if len(data) < end:
            self._left_bytes = end - len(data)
            return data, b"", False
        return data[:end], data[end:], True

    def end_body(self) -> None:
        """Note that the body is complete: a head is next."""
        self.is_in_head, self._chunks, self._left_bytes = True, None, 0
