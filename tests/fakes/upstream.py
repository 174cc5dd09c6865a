"""An app behind the gateway that writes down every byte it is sent, and answers as it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import h11

from tests.fakes.free_port import free_port


class Seen(NamedTuple):
    """One request as the app saw it, read by a parser that is not the gateway's."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    """In order, names in their case."""
    body: bytes

    def values(self, name: str) -> list[str]:
        """All values of ``name``."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


Answer = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]
"""Writes the answer, raw. Closing the writer ends the connection."""

HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


class Upstream:
    """
    A server on a loopback port. ``answers`` maps paths to what is done; the rest is greeted.

    ``streams`` maps paths to handlers that get the connection itself as soon as the head is there.
    """

    def __init__(self, *, socket: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        """On a unix ``socket`` instead, or with ``tls``."""
        self._socket = socket
        self._tls = tls
        self.seen: list[Seen] = []
        self.raw = b""
        """All bytes ever received."""
        self.answers: dict[str, Answer] = {}
        self.streams: dict[str, Stream] = {}
        self.connections = 0
        self.lost = asyncio.Event()
        """Set when the gateway closes a connection."""
        self.arrived = asyncio.Event()
        """Set when a request's head has arrived."""
        self.faults: list[str] = []
        """What was no HTTP, other than a request that breaks off."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, path: str, raw: bytes, *, then_close: bool = False) -> None:
        """Answer ``path`` with these bytes."""

        async def write(_: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(raw)
            await writer.drain()
            if then_close:
                writer.close()

        self.answers[path] = write

    def forget(self) -> None:
        """All that it has seen."""
        self.seen.clear()
        self.raw = b""

    async def start(self, port: int = 0) -> None:
        """Listen; on the port of before, if it was stopped."""
        if self._socket is not None:
            self._server = await asyncio.start_unix_server(self._accept, self._socket)
            return
        self._server = await asyncio.start_server(
            self._accept,
            "127.0.0.1",
            port or self.port or free_port(),
            reuse_address=True,
            ssl=self._tls,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As if the app had been killed: no listener, all connections gone."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._serve(_Wire(self, reader), reader, writer)
        except (ConnectionError, asyncio.CancelledError):  # streams of 3.11 shout at the latter
            pass
        except h11.RemoteProtocolError as error:
            if not reader.at_eof():
                self.faults.append(str(error))
        finally:
            self._tasks.discard(task)
            self.lost.set()
            writer.transport.abort()

    async def _serve(
        self, wire: "_Wire", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while (head := await wire.head()) is not None:
            self.arrived.set()
            path = head.target.partition("?")[0]
            if path in self.streams:
                self.seen.append(head)
                wire.hand_over()
                await self.streams[path](head, reader, writer)
                return
            seen = head._replace(body=await wire.body())
            self.seen.append(seen)
            await self.answers.get(path, _greet)(seen, writer)
            if writer.is_closing():
                return


Stream = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Wire:
    """Requests off one connection, by h11."""

    def __init__(self, upstream: Upstream, reader: asyncio.StreamReader) -> None:
        self._upstream = upstream
        self._reader = reader
        self._rest = b""
        self._parser = h11.Connection(h11.SERVER)

    async def head(self) -> Seen | None:
        """The next request without its body; None at the end of the connection."""
        self._parser = h11.Connection(h11.SERVER)
        if self._rest:
            self._parser.receive_data(self._rest)
        event = await self._next()
        if not isinstance(event, h11.Request):
            return None
        fields = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in event.headers.raw_items()
        ]
        return Seen(event.method.decode(), event.target.decode(), fields, b"")

    async def body(self) -> bytes:
        """All of the body."""
        parts = []
        while isinstance(event := await self._next(), h11.Data):
            parts.append(bytes(event.data))
        self._rest = self._parser.trailing_data[0]
        return b"".join(parts)

    def hand_over(self) -> None:
        """Put back what came with the head, for a handler that reads the stream itself."""
        self._reader._buffer[:0] = self._parser.trailing_data[0]  # type: ignore[attr-defined]

    async def _next(self) -> object:
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(65536)
            self._upstream.raw += data
            self._parser.receive_data(data)
        return event


async def _greet(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(HELLO[: HELLO.index(b"hello")] if seen.method == "HEAD" else HELLO)
    await writer.drain()


@asynccontextmanager
async def serving(
    *, socket: Path | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Upstream]:
    """A running `Upstream`."""
    upstream = Upstream(socket=socket, tls=tls)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()
