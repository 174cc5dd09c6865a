"""
Where clients come in: an address becomes sockets once, each socket is served by any process.

`bind` needs no loop, so a supervisor can bind and hand the sockets to the processes that it starts.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Protocol

from gateway.config.addresses import Address
from gateway.errors import StartError

BACKLOG = 1024
"""Connections that wait in the kernel to be accepted; capped by net.core.somaxconn."""

MakeProtocol = Callable[[], asyncio.BaseProtocol]


class Server(Protocol):
    """Accepts connections until it is closed."""

    def close(self) -> None:
        """Accept no more; what was accepted goes on."""


def bind(address: Address, *, reuse_port: bool = False) -> tuple[socket.socket, ...]:
    """
    The listening sockets of ``address``: one for each address that its name stands for.

    With ``reuse_port`` others may be bound to it as well, and the kernel shares connections out
    among them (SO_REUSEPORT). Raises `StartError`.
    """
    try:
        with ExitStack() as undo:
            sockets: list[socket.socket] = []
            for family, place in _places(address):
                port = port_of(sockets[0]) if sockets else address.port  # 0 is chosen once
                sock = undo.enter_context(_bound(family, (place, port), reuse_port=reuse_port))
                sockets.append(sock)
            undo.pop_all()
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror}") from error
    return tuple(sockets)


def _places(address: Address) -> Iterator[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return iter(dict.fromkeys((family, str(place[0])) for family, _, _, _, place in found))


def _bound(
    family: socket.AddressFamily, place: tuple[str, int], *, reuse_port: bool
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            # One socket, one family: [::] and 0.0.0.0 can both be listed.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def port_of(sock: socket.socket) -> int:
    """The TCP port of a listening socket."""
    return int(sock.getsockname()[1])


async def serve(loop: asyncio.AbstractEventLoop, sock: socket.socket, make: MakeProtocol) -> Server:
    """Accept connections on ``sock``, whose protocol ``make`` makes; closing closes ``sock``."""
    return await loop.create_server(make, sock=sock, backlog=BACKLOG)
