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
    """The other process ended, or does not answer."""


class NoAnswer(PeerGone):
    """It has not ended, as far as we know."""


class RpcConnection:
    """One end. Its end of file says that the other process has ended, however it ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> "RpcConnection":
        """A channel that owns ``sock``."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    def send(self, message: Mapping[str, Any]) -> None:
        """Send without waiting; that the other one is gone is heard by `receive`."""
        data = orjson.dumps(message)
        self._writer.write(_LENGTH.pack(len(data)) + data)

    async def receive(self) -> Message | None:
        """The next message; None when the other process has ended."""
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
    """Asks over a channel and matches answers to questions by number."""

    def __init__(self, channel: RpcConnection, heard: Callable[[], None]) -> None:
        """``heard`` is called for what the other one says without being asked."""
        self._channel = channel
        self._heard = heard
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._is_over = False

    async def ask(self, what: str, within_s: float, **more: object) -> Message:
        """The answer to ``what``. Raises `PeerGone` or `NoAnswer`."""
        if self._is_over:
            raise PeerGone(what)
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._channel.send({"number": number, "what": what, **more})
        try:
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            raise NoAnswer(f"{what}: no answer") from None
        finally:
            del self._waiting[number]

    async def listen(self) -> None:
        """Take answers until the other process ends."""
        while (message := await self._channel.receive()) is not None:
            number = message.pop("number", None)
            if number is None:
                self._heard()
                continue
            answer = self._waiting.get(number)
            if answer is not None and not answer.done():
                answer.set_result(message)
        self._is_over = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(PeerGone("it ended"))
