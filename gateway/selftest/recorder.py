"""
Recorders: they stand in for the servers of apps, keep each request, and answer all with 200.

The parser is the recorder's own and simple: where it and the gateway read one text differently, a
request arrives that none has asked for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ArrivedRequest(NamedTuple):
    """One request as it arrived at the server of an app."""

    upstream: str
    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    """In order, with the case of their names."""
    body: bytes
    head: bytes
    """The octets of the head."""

    def values(self, name: str) -> list[str]:
        """Return all values of the field ``name``."""
        return [value for key, value in self.fields if key.lower() == name.lower()]


class Recorder:
    """Keeps what arrives for one upstream."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.arrived: list[ArrivedRequest] = []
        self.unreadable: list[bytes] = []
        """Heads of what was no HTTP/1.1 to it; empty for one without an end."""
        self._head = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the gateway gave up, which it may
        except (ValueError, asyncio.LimitOverrunError):
            self.unreadable.append(self._head)
        finally:
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self._head = b""
        self._head = head = await reader.readuntil(_END)
        line, *lines = head[: -len(_END)].decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        fields = tuple(_field(each) for each in lines)
        found = ArrivedRequest(self._upstream, method, target, fields, b"", head)
        if found.values("Expect"):
            writer.write(_CONTINUE)
        self.arrived.append(found._replace(body=await _body(found, reader)))
        writer.write(_OK)
        await writer.drain()
        return True


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip(" \t")


async def _body(request: ArrivedRequest, reader: asyncio.StreamReader) -> bytes:
    """Read the body as the framing of ``request`` says. Raises `ValueError`."""
    if request.values("Transfer-Encoding"):
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(parts)
    lengths = request.values("Content-Length")
    return await reader.readexactly(int(lengths[0])) if lengths else b""


@asynccontextmanager
async def recording(upstream: str, path: Path) -> AsyncIterator[Recorder]:
    """Run a recorder for ``upstream`` on a unix socket at ``path``."""
    recorder = Recorder(upstream)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(recorder.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(accept, path, limit=1 << 20)
    try:
        yield recorder
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
