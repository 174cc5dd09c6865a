"""How much of what a client sends is head: the parser bounds lines, but not their sum."""

from typing import Protocol


class Body(Protocol):
    """A body that is being parsed."""

    total_bytes: int
    """How much of it has come."""

    def is_eof(self) -> bool:
        """Whether that is all of it."""


class HeadMeter:
    """
    Counts the bytes of heads, and of trailers and chunk extensions, which are as little use.

    The parser does not say where in a read a message ended. So a head is only measured itself where
    it may be too long: after a read, or a sum of reads, that is longer than ``limit_bytes``.
    """

    __slots__ = ("_body_bytes", "_is_uncertain", "_limit_bytes", "pending_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._body_bytes = 0
        self._is_uncertain = False
        self.pending_bytes = 0
        """Of a head that is not complete, as far as is known."""

    def complete(self, read_bytes: int, body_bytes: int) -> bool:
        """
        Note that a read of ``read_bytes`` completed heads; whether they may be too long.

        A read of 0 bytes is one that the parser had held back. ``body_bytes`` is how much of the
        last one's body came with it.
        """
        is_known = 0 < read_bytes <= self._limit_bytes
        may_be_long = (
            self._is_uncertain
            or not is_known
            or self.pending_bytes + read_bytes > self._limit_bytes
        )
        self.pending_bytes, self._body_bytes, self._is_uncertain = 0, body_bytes, not is_known
        return may_be_long

    def body_went_on(self, body: Body) -> bool:
        """Whether the last read held some of ``body``, or its end."""
        went_on = body.is_eof() or body.total_bytes != self._body_bytes
        self._body_bytes = body.total_bytes
        if went_on:
            self.pending_bytes = 0
        return went_on

    def exceeds(self, read_bytes: int) -> bool:
        """Count a read that completed nothing; whether it is too much."""
        self.pending_bytes += read_bytes
        return self.pending_bytes > self._limit_bytes
