"""A client that sends the bytes it is told and reads answers with a parser of its own (h11)."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

import h11
import orjson

from tests.fakes.free_port import keep_no_port

TIMEOUT_S = 20
CLOSE_TIMEOUT_S = 9
"""Less than the time of a head (10 s): that it runs out is no answer to what was sent."""


class Answer(NamedTuple):
    """A response, whole."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    is_complete: bool
    """False where the connection ended before the body did."""

    def values(self, name: str) -> list[str]:
        """All values of ``name``."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: str) -> str:
        """The one value of ``name``."""
        (value,) = self.values(name)
        return value

    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document."""
        return str(self.json()["code"])


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._rest = b""

    async def send(self, data: bytes) -> Self:
        """Send these bytes."""
        self.writer.write(data)
        await self.writer.drain()
        return self

    async def answer(self, method: str = "GET") -> Answer:
        """The next final answer."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._answer(method)

    async def interim(self) -> int:
        """The status of the next answer, which is a 1xx."""
        async with asyncio.timeout(TIMEOUT_S):
            while b"\r\n\r\n" not in self._rest:
                self._rest += await self._read()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return int(head.split()[1])

    async def is_closed(self) -> bool:
        """Whether the gateway closes the connection, with nothing more said."""
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            return self._rest == b"" and await self._read() == b""

    async def _answer(self, method: str) -> Answer:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        if self._rest:
            parser.receive_data(self._rest)
            self._rest = b""
        response = await self._next(parser)
        while isinstance(response, h11.InformationalResponse):
            response = await self._next(parser)
        assert isinstance(response, h11.Response), f"no answer but {response!r}"
        parts, is_complete = [], True
        try:
            while isinstance(event := await self._next(parser), h11.Data):
                parts.append(bytes(event.data))
        except (h11.RemoteProtocolError, ConnectionError):
            is_complete = False
        self._rest = parser.trailing_data[0] if is_complete else b""
        headers = [
            (n.decode("latin-1"), v.decode("latin-1")) for n, v in response.headers.raw_items()
        ]
        return Answer(
            response.status_code, response.reason.decode(), headers, b"".join(parts), is_complete
        )

    async def _next(self, parser: h11.Connection) -> object:
        while (event := parser.next_event()) is h11.NEED_DATA:
            parser.receive_data(await self._read())
        return event

    async def _read(self) -> bytes:
        try:
            return await self.reader.read(65536)
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def connected(
    port: int, tls: ssl.SSLContext | None = None, host: str = "localhost", source: str = ""
) -> AsyncIterator[RawClient]:
    """A connection to a loopback port; over ``tls`` one that asks for ``host``."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        port,
        local_addr=(source, 0) if source else None,
        ssl=tls,
        server_hostname=host if tls else None,
    )
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


async def fetch(
    port: int,
    method: str,
    path: str,
    *fields: str,
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One request on a connection of its own; ``fields`` are whole field lines."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    async with connected(port, tls) as client:
        keep_no_port(client.writer.get_extra_info("socket"))
        await client.send("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body)
        return await client.answer(method)
