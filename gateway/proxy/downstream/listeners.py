"""All sockets that a process listens on, and how clients come in by them."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence

from gateway.proxy.downstream.accept import Arrivals, Manner
from gateway.proxy.downstream.accepted import Entrance
from gateway.proxy.downstream.bind import Server, serve
from gateway.proxy.downstream.server import DataPlane
from gateway.proxy.downstream.tls import ServerTls


class Doors:
    """Serves listening sockets; how may change while it does."""

    def __init__(
        self,
        plane: DataPlane,
        make: Callable[[Entrance | None], asyncio.BaseProtocol],
    ) -> None:
        self._plane = plane
        self.sockets: Sequence[socket.socket] = ()
        self._make = make
        self._servers: list[Server] = []
        self.manner: Manner | None = None

    async def open(self, manner: Manner) -> None:
        """Let clients in by ``manner`` from now on; those who are in stay."""
        if manner == self.manner:
            return
        servers: list[Server] = []
        try:
            for sock in self.sockets:
                server = await self._serve(sock.dup(), manner)
                servers.append(server)
        except OSError:
            _close(servers)
            raise
        old, self._servers = self._servers, servers
        self.manner = manner
        _close(old)

    def tls(self) -> ServerTls | None:
        """What is in use."""
        return self.manner.tls if self.manner else None

    def close(self) -> None:
        """Let nobody in any more."""
        _close((*self._servers, *self.sockets))

    async def _serve(self, sock: socket.socket, manner: Manner) -> Server:
        if manner == Manner():
            # The loop accepts faster by itself, and bears a lack of descriptors as well.
            return await serve(self._plane.loop, sock, lambda: self._make(None))
        return Arrivals(self._plane, sock, manner, self._make)


def _close(doors: Iterable[Server]) -> None:
    for door in doors:
        door.close()
