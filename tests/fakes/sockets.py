"""An app that speaks WebSocket, by a library that is not the gateway's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.proxy.tunnel.websocket import FrameScanner

_INVALID_DATA = 1007


class Echo(asyncio.Protocol):
    """
    Sends back each message; does the same in the same order however the bytes are cut.

    So it deals with one frame at a time: what the library answers by itself comes in its place.
    """

    def __init__(self) -> None:
        self._socket = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory()],
            select_subprotocol=_the_last,
            max_size=None,
        )
        self._frames = FrameScanner()
        self._head = b""
        self._message: list[Frame] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._socket.state is State.CONNECTING:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._take(head + end)
        at = 0
        while at < len(data):
            if self._frames.is_between:
                self._frames.feed(data[at : at + 1])
                end_at = at + 1
            else:
                end_at = at + self._frames.feed_to_boundary(data[at:])
            self._take(data[at:end_at])
            at = end_at

    def eof_received(self) -> bool:
        self._socket.receive_eof()
        self._answer()
        return True

    def _take(self, data: bytes) -> None:
        self._socket.receive_data(data)
        for event in self._socket.events_received():
            if isinstance(event, Request):
                self._socket.send_response(self._socket.accept(event))
            elif isinstance(event, Frame) and event.opcode in DATA_OPCODES:
                self._echo(event)
        self._answer()

    def _echo(self, frame: Frame) -> None:
        self._message.append(frame)
        if not frame.fin:
            return
        message = b"".join(bytes(part.data) for part in self._message)
        is_text = self._message[0].opcode is Opcode.TEXT
        self._message.clear()
        if not is_text:
            self._socket.send_binary(message)
        elif _is_text(message):
            self._socket.send_text(message)
        else:
            self._socket.fail(_INVALID_DATA, "invalid UTF-8")

    def _answer(self) -> None:
        for data in self._socket.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
        if self._socket.state is State.CLOSED:
            self._transport.close()


def _is_text(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def _the_last(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[-1] if offered else None


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """Such an app; its port."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
