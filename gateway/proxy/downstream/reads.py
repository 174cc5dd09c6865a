"""How much of what a client sends is read at once."""

import asyncio
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Protocol

_BULK_BYTES = 512 * 1024
_MEMORY = mmap(-1, _BULK_BYTES, flags=MAP_PRIVATE | MAP_ANONYMOUS)
"""
Shared by all connections of a process: what is read is copied out before anything else is read.

A slice of mapped memory is a `bytes`, made in one step; one of a `bytearray` takes two.
"""
_BULK = memoryview(_MEMORY)


class BodyTaker(Protocol):
    """What reads requests from the bytes of a connection."""

    is_taking_body: bool
    """Whether the next bytes belong to a body that is being forwarded."""


class BoundedConnection(Protocol):
    """A client connection, as asyncio and `BoundedReads` use it."""

    @property
    def reader(self) -> BodyTaker:
        """Its requests."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that there is a connection."""

    def data_received(self, data: bytes) -> None:
        """Take what was read."""

    def eof_received(self) -> bool:
        """Note that the client sends no more; return whether the connection stays open."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that the connection is lost."""

    def pause_writing(self) -> None:
        """Note that the client does not keep up."""

    def resume_writing(self) -> None:
        """Note that the client keeps up again."""


class BoundedReads(asyncio.BufferedProtocol):
    """
    Reads as much at once as a connection has a use for: for heads, about the bytes of one.

    An event loop reads up to 256 KB otherwise. Of requests that a client sends ahead, what is not
    parsed yet would wait in memory; this way it stays in the socket.
    """

    __slots__ = ("_connection", "_heads", "_reader")

    def __init__(self, connection: BoundedConnection, head_bytes: int) -> None:
        self._connection = connection
        self._reader = connection.reader
        self._heads = _BULK[:head_bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (of asyncio's interface)
        """Return where to read to."""
        return _BULK if self._reader.is_taking_body else self._heads

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what was read."""
        self._connection.data_received(_MEMORY[:nbytes])

    def eof_received(self) -> bool:
        return self._connection.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()
