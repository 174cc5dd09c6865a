"""
Cuts what a client sends where its messages begin and end.

The parser is given parts of one message at a time. Given more, it does not say where in a read a
message ended; and aiohttp's (3.14.5) makes the last trailer of one message a field of the next: a
credential in a trailer would be the next request's.
"""

from gateway.proxy.http1.chunks import ChunkScanner

_HEAD_END = b"\r\n\r\n"


class MessageSplitter:
    """Knows in which part of a message the next byte is; the parser judges what the parts hold."""

    __slots__ = ("_chunks", "_left_bytes", "is_in_head", "partial_head")

    def __init__(self) -> None:
        self.is_in_head = True
        self.partial_head = b""
        """What has come of the head that is not complete."""
        self._left_bytes = 0
        """Of a body with a length."""
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
        """Of trailers, or of a line between chunks."""
        return self._chunks.overhead_bytes if self._chunks is not None else 0

    def head_end(self, data: bytes) -> int | None:
        """How much of ``data`` belongs to the head, if it ends in it; else all of it was taken."""
        partial_head = self.partial_head
        found = (partial_head + data).find(
            _HEAD_END, max(0, len(partial_head) - len(_HEAD_END) + 1)
        )
        if found < 0:
            self.partial_head += data
            return None
        return found + len(_HEAD_END) - len(partial_head)

    def begin_body(self, length_bytes: int | None) -> None:
        """A head is complete; None where its body is chunked."""
        self.partial_head = b""
        self._left_bytes = length_bytes or 0
        self._chunks = ChunkScanner() if length_bytes is None else None
        self.is_in_head = length_bytes == 0

    def body_end(self, data: bytes) -> int | None:
        """How much of ``data`` belongs to the body, if it ends in it; else all of it does."""
        if self._chunks is not None:
            return self._chunks.end(data)
        if len(data) < self._left_bytes:
            self._left_bytes -= len(data)
            return None
        return self._left_bytes

    def end_body(self) -> None:
        """All of the body was taken: a head is next."""
        self.is_in_head, self._chunks, self._left_bytes = True, None, 0
