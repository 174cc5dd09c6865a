"""
Where clients come in: an address becomes sockets once, each socket is served by any process.

`bind` needs no loop, so a supervisor can bind and hand the sockets to the processes that it starts.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from gateway.config.addresses import HostPort
from gateway.config.listen import (
    ActivatedSocket,
    InheritedDescriptor,
    ListenAddress,
    UnixPath,
)
from gateway.core.errors import StartError
from gateway.proxy.downstream.socket_activation import PassedSocket, adopt

BACKLOG = 1024
"""Connections that wait in the kernel to be accepted; capped by net.core.somaxconn."""

MakeProtocol = Callable[[], asyncio.BaseProtocol]


class ListeningServer(Protocol):
    """Accepts connections until it is closed."""

    def close(self) -> None:
        """Accept no more; what was accepted goes on."""


def bind(
    place: ListenAddress, *, passed: Sequence[PassedSocket] = (), reuse_port: bool = False
) -> tuple[socket.socket, ...]:
    """
    Return the listening sockets of ``place``: more than one where a name stands for several addresses.

    ``passed`` is what `socket_activation.take` returned. With ``reuse_port`` other sockets can be
    bound to the same TCP port, and the kernel distributes connections among them (SO_REUSEPORT);
    this has no effect on sockets that cannot be bound twice. Raises `StartError`.
    """
    match place:
        case InheritedDescriptor(number):
            return (adopt(number),)
        case ActivatedSocket(name):
            numbers = [entry.number for entry in passed if name in ("", entry.name)]
            if not numbers:
                raise StartError(f"{place}: no such socket was passed on")
            return tuple(map(adopt, numbers))
    try:
        if isinstance(place, UnixPath):
            return (_bind_unix(place.path),)
        return _bind_tcp(place, reuse_port=reuse_port)
    except OSError as error:
        raise StartError(f"cannot listen on {place}: {error.strerror}") from error


# --- TCP ---------------------------------------------------------------------------------------


def _bind_tcp(address: HostPort, *, reuse_port: bool) -> tuple[socket.socket, ...]:
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for family, host in _places(address):
            port = port_of(sockets[0]) if sockets else address.port  # 0 is chosen once
            sock = undo.enter_context(_bound(family, (host, port), reuse_port=reuse_port))
            sockets.append(sock)
        undo.pop_all()
    return tuple(sockets)


def twin(sock: socket.socket) -> socket.socket:
    """
    Another listening socket at the same address, for another process. Raises `OSError`.

    Only where connections can be shared out (SO_REUSEPORT): else it is the same socket once more,
    and whoever accepts first gets a connection.
    """
    if not is_shared_out(sock):
        return sock.dup()
    return again(sock.family, sock.getsockname())


def again(family: int, name: tuple[str, int]) -> socket.socket:
    """A listening socket at an address that others listen at, too. Raises `OSError`."""
    return _bound(socket.AddressFamily(family), name[:2], reuse_port=True)


def is_shared_out(sock: socket.socket) -> bool:
    """Whether the kernel shares connections out among the sockets at this one's address."""
    if sock.family == socket.AF_UNIX:
        return False
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))


def _places(address: HostPort) -> Iterator[tuple[socket.AddressFamily, str]]:
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


def name_of(sock: socket.socket) -> str:
    """Where a listening socket can be found: ``port 8080``, or ``unix:/path``."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    return f"port {port_of(sock)}"


# --- unix --------------------------------------------------------------------------------------

_ONLY_OWNER_AND_GROUP = 0o117
"""As umask(2): what is left is mode 0660."""


class _UnixSocket(socket.socket):
    """A listening socket with a file; to be closed by `close`."""

    path = ""
    maker = 0
    """The process that has made the file; no other removes it."""


def _bind_unix(path: str) -> _UnixSocket:
    sock = _UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.setblocking(False)
        umask = os.umask(_ONLY_OWNER_AND_GROUP)  # a chmod would come after the first caller
        try:
            sock.bind(path)
        finally:
            os.umask(umask)
        sock.path, sock.maker = path, os.getpid()
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def close(sock: socket.socket) -> None:
    """
    Close a listening socket, and remove its file where this process has made it.

    Unless somebody listens there still: a process that shares the socket, or a successor.
    """
    sock.close()
    if isinstance(sock, _UnixSocket) and sock.maker == os.getpid():
        with suppress(OSError):
            _remove_stale(sock.path)


def _remove_stale(path: str) -> None:
    """Remove what a gateway that was killed has left; not a file, nor a socket that answers."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(0, "there is something else than a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()
                return
            except BlockingIOError:
                pass  # somebody is there, and busy
        raise FileExistsError(0, "somebody listens there")


# --- serving -----------------------------------------------------------------------------------


async def serve(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, make: MakeProtocol
) -> ListeningServer:
    """Accept connections on ``sock``, whose protocol ``make`` makes; closing closes ``sock``."""
    if sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(make, sock=sock, backlog=BACKLOG)
    return await loop.create_server(make, sock=sock, backlog=BACKLOG)
