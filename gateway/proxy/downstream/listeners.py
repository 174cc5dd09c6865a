"""All listening sockets of a process, and the options of their connections."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence

from gateway.proxy.downstream.accept import Acceptor, ListenerOptions
from gateway.proxy.downstream.accepted import AcceptedConnection
from gateway.proxy.downstream.bind import ListeningServer, serve
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.downstream.tls import ServerTls


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
        self.options: ListenerOptions | None = None

    async def open(self, options: ListenerOptions) -> None:
        """Serve new connections with ``options``; open connections stay."""
        if options == self.options:
            return
        servers: list[ListeningServer] = []
        try:
            for sock in self.sockets:
                server = await self._serve(sock.dup(), options)
                servers.append(server)
        except OSError:
            _close(servers)
            raise
        old, self._servers = self._servers, servers
        self.options = options
        _close(old)

    def tls(self) -> ServerTls | None:
        """Return the TLS in use."""
        return self.options.tls if self.options else None

    def close(self) -> None:
        """Accept no more, and close all sockets."""
        _close((*self._servers, *self.sockets))

    async def _serve(self, sock: socket.socket, options: ListenerOptions) -> ListeningServer:
        if options == ListenerOptions():
            # The event loop accepts faster by itself, and copes with a lack of descriptors, too.
            return await serve(self._server.loop, sock, lambda: self._make(None))
        return Acceptor(self._server, sock, options, self._make)


def _close(servers: Iterable[ListeningServer]) -> None:
    for server in servers:
        server.close()
