"""All listening sockets of a process, and the options of their connections."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gateway.proxy.downstream.accept import Acceptor, ListenerOptions
from gateway.proxy.downstream.accepted import AcceptedConnection
from gateway.proxy.downstream.bind import ListeningServer, serve
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.downstream.tls import ServerTls


class _Others(NamedTuple):
    """The sockets of another worker, and what accepts on them."""

    sockets: Sequence[socket.socket]
    servers: Sequence[ListeningServer]


class Listeners:
    """Serves listening sockets; its options can be replaced at run time."""

    def __init__(
        self,
        server: ProxyServer,
        make: Callable[[AcceptedConnection | None], asyncio.BaseProtocol],
    ) -> None:
        self._server = server
        self.sockets: Sequence[socket.socket] = ()
        self._make = make
        self._servers: list[ListeningServer] = []
        self._for_others: dict[int, _Others] = {}
        self.options: ListenerOptions | None = None

    async def open(self, options: ListenerOptions) -> None:
        """Serve new connections with ``options``; open connections stay."""
        if options == self.options:
            return
        servers = await self._serve_all(self.sockets, options)
        old, self._servers = self._servers, servers
        self.options = options
        _close(old)
        for number, others in tuple(self._for_others.items()):
            await self.accept_for(number, [sock.dup() for sock in others.sockets])

    async def accept_for(self, number: int, sockets: Sequence[socket.socket]) -> None:
        """
        Accept on the ``sockets`` of another worker, in place of those that it had before, if any.

        They are closed when they are replaced, by none for example. Raises `OSError`.
        """
        servers = [] if self.options is None else await self._serve_all(sockets, self.options)
        old = self._for_others.pop(number, None)
        if servers:
            self._for_others[number] = _Others(sockets, servers)
        if old is not None:
            _close((*old.servers, *old.sockets))

    def tls(self) -> ServerTls | None:
        """Return the TLS in use."""
        return self.options.tls if self.options else None

    def close(self) -> None:
        """Accept no more, and close all sockets."""
        _close((*self._servers, *self.sockets))
        for others in self._for_others.values():
            _close((*others.servers, *others.sockets))
        self._for_others.clear()

    async def _serve_all(
        self, sockets: Iterable[socket.socket], options: ListenerOptions
    ) -> list[ListeningServer]:
        """Serve all of them or none. Raises `OSError`."""
        servers: list[ListeningServer] = []
        try:
            for sock in sockets:
                server = await self._serve(sock.dup(), options)
                servers.append(server)
        except OSError:
            _close(servers)
            raise
        return servers

    async def _serve(self, sock: socket.socket, options: ListenerOptions) -> ListeningServer:
        if options == ListenerOptions():
            # The event loop accepts faster by itself, and copes with a lack of descriptors, too.
            return await serve(self._server.loop, sock, lambda: self._make(None))
        return Acceptor(self._server, sock, options, self._make)


def _close(servers: Iterable[ListeningServer]) -> None:
    for server in servers:
        server.close()
