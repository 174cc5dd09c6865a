"""All sockets that a process listens on, and how clients come in by them."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence

from gateway.proxy.downstream.accept import Acceptor, ListenerOptions
from gateway.proxy.downstream.accepted import AcceptedConnection
from gateway.proxy.downstream.bind import ListeningServer, serve
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.downstream.tls import ServerTls


class Listeners:
    """Serves listening sockets; how may change while it does."""

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
        """Let clients in by ``options`` from now on; those who are in stay."""
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
        """What is in use."""
        return self.options.tls if self.options else None

    def close(self) -> None:
        """Let nobody in any more."""
        _close((*self._servers, *self.sockets))

    async def _serve(self, sock: socket.socket, options: ListenerOptions) -> ListeningServer:
        if options == ListenerOptions():
            # The loop accepts faster by itself, and bears a lack of descriptors as well.
            return await serve(self._server.loop, sock, lambda: self._make(None))
        return Acceptor(self._server, sock, options, self._make)


def _close(doors: Iterable[ListeningServer]) -> None:
    for door in doors:
        door.close()
