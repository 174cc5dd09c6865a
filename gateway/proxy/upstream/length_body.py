"""The body of an answer whose length is known: it is counted, not parsed."""

import asyncio
from collections.abc import Callable


class LengthBody:
    """
    Keeps what has come of a body until it is read; has what is used of aiohttp's stream reader.

    It costs a tenth of one, and the parser is not asked where the body ends.
    """

    __slots__ = ("_error", "_loop", "_parts", "_resume", "_waiter", "held_bytes", "left_bytes")

    def __init__(self, loop: asyncio.AbstractEventLoop, length: int) -> None:
        self._loop = loop
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._resume: Callable[[], None] | None = None
        self.held_bytes = 0
        """How much has come and was not read."""
        self.left_bytes = length
        """How much is still to come."""

    def feed(self, data: bytes) -> bytes:
        """Add what came; return what of it lies behind the end of the body."""
        left, size = self.left_bytes, len(data)
        if size > left:
            data, behind, size = data[:left], data[left:], left
        else:
            behind = b""
        if size:
            self._parts.append(data)
            self.held_bytes += size
            self.left_bytes = left - size
            self._wake()
        return behind

    def is_eof(self) -> bool:
        """Return whether all of the body has come; it may not have been read."""
        return not self.left_bytes

    def resume_with(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` when what has come is read: its source has been paused."""
        self._resume = resume

    def set_exception(self, error: Exception) -> None:
        """Fail this read and each later one; the first error is the cause of all others."""
        self._error = self._error or error
        self._wake()

    def read_nowait(self) -> bytes:
        """Return what has come."""
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.held_bytes = 0
        resume = self._resume
        if resume is not None:
            self._resume = None
            resume()
        return data

    async def readany(self) -> bytes:
        """Return what has come, as soon as something has; empty at the end of the body."""
        while True:
            if self._error is not None:
                raise self._error
            if self._parts or not self.left_bytes:
                return self.read_nowait()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
