"""
Listening sockets: made from an address once, and served by any process.

`bind` needs no event loop, so a supervisor can bind and hand the sockets to its workers.
"""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Protocol

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
"""Connections that wait in the kernel to be accepted; limited by net.core.somaxconn."""

MAX_PER_ITERATION = 64
"""Connections that are accepted in one iteration of the event loop."""

_REMEDIES: Final[Mapping[int, str]] = {
    errno.EADDRINUSE: "; stop the program that uses it, or name another address",
    errno.EADDRNOTAVAIL: "; name an address of this machine",
    errno.EACCES: "; run as a user who may: a unix socket needs a folder to write to, and a port"
    " below 1024 CAP_NET_BIND_SERVICE",
    errno.ENOENT: "; make the folder of the socket",
}

MakeProtocol = Callable[[], asyncio.BaseProtocol]


class ListeningServer(Protocol):
    """Accepts connections until it is closed."""

    def close(self) -> None:
        """Accept no more; accepted connections go on."""


def bind(
    place: ListenAddress, *, passed: Sequence[PassedSocket] = (), reuse_port: bool = False
) -> tuple[socket.socket, ...]:
    """
    Return the listening sockets of ``place``: several if a name has several addresses.

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
                raise StartError(f"{place}: no socket of this name was passed to the process")
            return tuple(map(adopt, numbers))
    try:
        if isinstance(place, UnixPath):
            return (_bind_unix(place.path),)
        return _bind_tcp(place, reuse_port=reuse_port)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise StartError(f"cannot listen on {place}: {error.strerror}{remedy}") from error


# --- TCP ---------------------------------------------------------------------------------------


def _bind_tcp(address: HostPort, *, reuse_port: bool) -> tuple[socket.socket, ...]:
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for family, host in _places(address):
            port = port_of(sockets[0]) if sockets else address.port  # port 0 is chosen once
            sock = undo.enter_context(_bound(family, (host, port), reuse_port=reuse_port))
            sockets.append(sock)
        undo.pop_all()
    return tuple(sockets)


def twin(sock: socket.socket) -> socket.socket:
    """
    Return another listening socket at the same address, for another process.

    Without SO_REUSEPORT it is a duplicate of the same socket: the process that accepts first gets a
    connection. Raises `OSError`.
    """
    if not can_share_port(sock):
        return sock.dup()
    return again(sock.family, sock.getsockname())


def again(family: int, name: tuple[str, int]) -> socket.socket:
    """Return a further listening socket at an address (SO_REUSEPORT). Raises `OSError`."""
    return _bound(socket.AddressFamily(family), name[:2], reuse_port=True)


def can_share_port(sock: socket.socket) -> bool:
    """Return whether the kernel distributes connections among sockets at this address."""
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
    """Return the TCP port of a listening socket."""
    return int(sock.getsockname()[1])


def name_of(sock: socket.socket) -> str:
    """Return the address of a listening socket for a log: ``port 8080``, or ``unix:/path``."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    return f"port {port_of(sock)}"


# --- unix --------------------------------------------------------------------------------------

_ONLY_OWNER_AND_GROUP = 0o117
"""As umask(2): the file gets mode 0660."""


class _UnixSocket(socket.socket):
    """A listening socket with a file; `close` closes it."""

    path = ""
    maker = 0
    """The process that made the file; no other removes it."""


def _bind_unix(path: str) -> _UnixSocket:
    sock = _UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.setblocking(False)
        umask = os.umask(
            _ONLY_OWNER_AND_GROUP
        )  # chmod would leave a moment in which others can connect
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
    Close a listening socket, and remove its file if this process made it.

    The file stays while a process listens there: one that shares the socket, or a successor.
    """
    sock.close()
    if isinstance(sock, _UnixSocket) and sock.maker == os.getpid():
        with suppress(OSError):
            _remove_stale(sock.path)


def _remove_stale(path: str) -> None:
    """Remove the socket file of a killed gateway, but no other file and no socket in use."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(0, "the file is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()
                return
            except BlockingIOError:
                pass  # a process listens there, and is busy
        raise FileExistsError(0, "another process listens there")


# --- serving -----------------------------------------------------------------------------------


async def serve(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, make: MakeProtocol
) -> ListeningServer:
    """Accept connections on ``sock``; ``make`` makes their protocols. Closing closes ``sock``."""
    server = _Server(loop, sock, make)
    await server.start()
    return server


class _Server:
    """
    Lets the event loop accept a connection, and accepts those that wait behind it.

    uvloop accepts one connection in an iteration, which takes 5 ms under load: of 1000 clients that
    connect at one time, the last would wait for seconds.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, make: MakeProtocol
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._make = make
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        """Each makes a connection of an accepted socket."""

    async def start(self) -> None:
        """Accept from now on."""
        loop = self._loop
        create = (
            loop.create_unix_server if self._sock.family == socket.AF_UNIX else loop.create_server
        )
        self._server = await create(self._make_first, sock=self._sock, backlog=BACKLOG)

    def close(self) -> None:
        """Accept no more; accepted connections go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _make_first(self) -> asyncio.BaseProtocol:
        made = self._make()
        self._loop.call_soon(self._accept_rest)
        return made

    def _accept_rest(self) -> None:
        if self._server is None:
            return
        for _ in range(MAX_PER_ITERATION):
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return  # none waits; any other error is met again by the event loop
            sock.setblocking(False)
            task = self._loop.create_task(self._adopt(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _adopt(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, sock)
        except OSError:  # the client has gone
            sock.close()
