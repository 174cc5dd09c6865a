"""A network between gateways and a store that is cut, slow, silent or garbles what it carries."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from pathlib import Path

_CHUNK_BYTES = 1 << 16


class Weather(Enum):
    """What becomes of bytes."""

    FAIR = auto()
    CUT = auto()
    """Connections are closed, and new ones too."""
    SLOW = auto()
    """Replies are late by `Network.delay_s`."""
    SILENT = auto()
    """Nothing arrives, either way; connections stay open."""
    GARBLED = auto()
    """One reply in ten has a byte changed."""


class Network:
    """A relay before the unix socket of a store; ``weather`` may be changed at any time."""

    def __init__(self, server_url: str) -> None:
        self._server = server_url.removeprefix("unix://")
        self._path = Path(tempfile.mkdtemp(prefix="net-")) / "s"
        self._weather = Weather.FAIR
        self._open: set[asyncio.StreamWriter] = set()
        self.delay_s = 0.1
        self.garbled = 0
        """How many bytes were changed."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"unix://{self._path}"

    @property
    def weather(self) -> Weather:
        """What becomes of bytes now."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        """Change it. What was sent into silence is lost: those connections end with it."""
        if Weather.CUT in (weather, self._weather) or self._weather is Weather.SILENT:
            for writer in self._open:
                writer.transport.abort()
        self._weather = weather

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Carry connections until the context ends."""
        server = await asyncio.start_unix_server(self._carry_both, self._path)
        try:
            yield
        finally:
            server.close()
            self.weather = Weather.CUT
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()

    async def _carry_both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._weather is Weather.CUT:
            writer.transport.abort()
            return
        self._open.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            from_server, to_server = await asyncio.open_unix_connection(self._server)
            asked = asyncio.ensure_future(self._carry(reader, to_server, is_reply=False))
            try:
                await self._carry(from_server, writer, is_reply=True)
            finally:
                asked.cancel()
                to_server.transport.abort()
        self._open.discard(writer)
        writer.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_reply: bool
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if self._weather is Weather.SILENT:
                    continue
                if self._weather is Weather.SLOW and is_reply:
                    await asyncio.sleep(self.delay_s)
                writer.write(self._garbled(chunk) if is_reply else chunk)
                await writer.drain()
        writer.transport.abort()

    def _garbled(self, chunk: bytes) -> bytes:
        if self._weather is not Weather.GARBLED or random.random() > 0.1:
            return chunk
        self.garbled += 1
        at = random.randrange(len(chunk))
        return chunk[:at] + bytes([chunk[at] ^ random.randrange(1, 256)]) + chunk[at + 1 :]


@asynccontextmanager
async def network(server_url: str) -> AsyncIterator[Network]:
    """A network before the server at ``server_url`` (a unix socket)."""
    relay = Network(server_url)
    async with relay.serving():
        yield relay
