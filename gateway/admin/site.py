"""
Connections to the private listener: over TCP, TLS or a unix socket, for one `aiohttp.web` app.

With TLS, each connection is accepted here, as its context is chosen at its handshake: so a
certificate is renewed without a restart, and a client that shows none, or a wrong one, is told of.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

_BACKLOG: Final = 128
_HANDSHAKE_S: Final = 10.0
_MAX_HANDSHAKES: Final = 512
"""Handshakes that are under way at one time; of more, the one that began first is broken off."""
_MAX_HEAD: Final = 1 << 16
_RETRY_S: Final = 0.1
"""Pause after an error, such as no descriptor being left."""

_SAY_EVERY_S: Final = 1.0
_TLS_HANDSHAKE: Final = b"\x16"
"""The first byte of a record with a ClientHello (RFC 8446 section 5.1)."""
_SPEAKS_TLS: Final = b"This listener speaks TLS: use https.\n"
_PLAIN: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%s" % (len(_SPEAKS_TLS), _SPEAKS_TLS)
)

MakeHandler = Callable[[], asyncio.BaseProtocol]

_log = logging.getLogger(__name__)


class Handshakes(Protocol):
    """Chooses the context of each handshake; see `gateway.proxy.downstream.tls.ServerTls`."""

    def begin(self) -> ssl.SSLContext:
        """Return the context for a handshake that begins now."""

    def done(self, context: ssl.SSLContext) -> None:
        """Note that the handshake that began with ``context`` is done."""


class PrivateSite:
    """Accepts connections on ``sockets``, whose owner closes them."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make: MakeHandler,
        handshakes: Handshakes | None = None,
    ) -> None:
        self._sockets = sockets
        self._make = make
        self._handshakes = handshakes
        self._accepting: list[asyncio.Task[None]] = []
        self._under_way: dict[asyncio.Task[None], None] = {}
        """Handshakes, in the order in which they began."""
        self._servers: list[asyncio.Server] = []
        self._said_s = -_SAY_EVERY_S

    async def start(self) -> None:
        """Accept from now on."""
        for sock in self._sockets:
            if self._handshakes is not None:
                accepting = asyncio.create_task(self._accept(sock, self._handshakes))
                self._accepting.append(accepting)
            else:
                self._servers.append(await self._serve(sock.dup()))

    async def close(self) -> None:
        """Accept no more; connections that were made go on."""
        for server in self._servers:
            server.close()
        tasks = [*self._accepting, *self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, sock: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        is_unix = sock.family == socket.AF_UNIX
        create = loop.create_unix_server if is_unix else loop.create_server
        return await create(self._make, sock=sock, backlog=_BACKLOG)

    async def _accept(self, listening: socket.socket, handshakes: Handshakes) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:
                _log.error("private listener: %s", error.strerror)
                await asyncio.sleep(_RETRY_S)
                continue
            if len(self._under_way) >= _MAX_HANDSHAKES:
                first = next(iter(self._under_way))
                del self._under_way[first]
                first.cancel()
            begun = loop.create_task(self._shake_hands(sock, str(address[0]), handshakes))
            self._under_way[begun] = None
            begun.add_done_callback(lambda done: self._under_way.pop(done, None))
            await asyncio.sleep(0)  # it begins; and a flood leaves time for the rest

    async def _shake_hands(self, sock: socket.socket, client: str, handshakes: Handshakes) -> None:
        is_connected = False
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                first = await _peeked(sock)
            if first == _TLS_HANDSHAKE:
                await self._connect(sock, client, handshakes)
                is_connected = True
            else:
                _answer_plain_http(sock)
        except (OSError, TimeoutError):
            pass  # the client has left, or is refused
        finally:
            if not is_connected:
                sock.close()

    async def _connect(self, sock: socket.socket, client: str, handshakes: Handshakes) -> None:
        context = handshakes.begin()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make, sock, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S
            )
        except OSError as error:
            self._say("private listener: no TLS with %s: %s", client, _why(error))
            raise
        finally:
            handshakes.done(context)

    def _say(self, message: str, *args: object) -> None:
        """Log a line, one a second at the most: any client can cause it."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            _log.info(message, *args)


async def _peeked(sock: socket.socket) -> bytes:
    """Wait for the first byte, and leave it there; empty if the client has left."""
    loop, has_come = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, has_come.set)
    try:
        await has_come.wait()
    finally:
        loop.remove_reader(sock)
    return sock.recv(1, socket.MSG_PEEK)


def _answer_plain_http(sock: socket.socket) -> None:
    """Say what is wrong to a client that was sent to ``http://`` on this port."""
    with suppress(OSError):
        if sock.recv(_MAX_HEAD):  # unread bytes would reset the connection
            sock.send(_PLAIN)


def _why(error: OSError) -> str:
    """Say why a handshake failed; what a client has sent is not repeated."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "malformed").lower().replace("_", " ")
    return type(error).__name__
