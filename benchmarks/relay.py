"""
A blind TCP relay on uvloop, the yardstick of the benchmarks: it forwards bytes without parsing.

    python -m benchmarks.relay PORT UPSTREAM_PORT

No proxy in Python can cost less.
"""

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One end of a relayed connection; bytes that arrive before the other end is open are kept."""

    def __init__(self) -> None:
        self.other: asyncio.Transport | None = None
        self.transport: asyncio.Transport | None = None
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
        else:
            self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - for either reason
        if self.other is not None:
            self.other.close()

    def join(self, other: "Side") -> None:
        """Forward bytes to ``other``, including those that arrived earlier."""
        self.other = other.transport
        if self.other is not None:
            self.other.write(bytes(self._early))


class Front(Side):
    """The client's end, which opens the connection to the app."""

    def __init__(self, upstream_port: int) -> None:
        super().__init__()
        self._upstream_port = upstream_port
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, back = await loop.create_connection(Side, "127.0.0.1", self._upstream_port)
        back.join(self)
        self.join(back)
        if self.other is not None and self.transport is not None and self.transport.is_closing():
            self.other.close()  # the client has gone meanwhile


async def serve(port: int, upstream_port: int) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Front(upstream_port), "127.0.0.1", port, backlog=1024)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
