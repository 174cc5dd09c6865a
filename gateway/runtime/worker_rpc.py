"""Messages between the supervisor and one worker: JSON over a pair of sockets."""

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.core.errors import GatewayError

_LENGTH = struct.Struct("!I")

Message = dict[str, Any]


class PeerGone(GatewayError):
    """The other process has ended, or does not answer."""


class NoAnswer(PeerGone):
    """The other process does not answer, and has not ended as far as is known."""


class RpcConnection:
    """One end of the connection. End of file means that the other process has ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> "RpcConnection":
        """Make a connection that owns ``sock``."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    def send(self, message: Mapping[str, Any]) -> None:
        """Send without waiting; `receive` reports when the other process is gone."""
        data = orjson.dumps(message)
        self._writer.write(_LENGTH.pack(len(data)) + data)

    async def receive(self) -> Message | None:
        """Wait for the next message; None when the other process has ended."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            message: Message = orjson.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return message

    async def aclose(self) -> None:
        """Send what is left, and close."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


class RpcClient:
    """Sends requests over a connection and matches answers to them by number."""

    def __init__(self, connection: RpcConnection, on_notice: Callable[[], None]) -> None:
        """``on_notice`` is called for each message that answers no request."""
        self._connection = connection
        self._on_notice = on_notice
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._is_over = False

    async def ask(self, what: str, within_s: float, **more: object) -> Message:
        """Send a request and wait for its answer. Raises `PeerGone` or `NoAnswer`."""
        if self._is_over:
            raise PeerGone(what)
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._connection.send({"number": number, "what": what, **more})
        try:
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            raise NoAnswer(f"{what}: no answer") from None
        finally:
            del self._waiting[number]

    async def listen(self) -> None:
        """Receive answers until the other process ends."""
        while (message := await self._connection.receive()) is not None:
            number = message.pop("number", None)
            if number is None:
                self._on_notice()
                continue
            answer = self._waiting.get(number)
            if answer is not None and not answer.done():
                answer.set_result(message)
        self._is_over = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(PeerGone("it ended"))
