"""How clients come in changes while they do."""

import asyncio
import errno
import socket
from typing import Any, cast

import pytest

from gateway.proxy.downstream.accept import ListenerOptions
from gateway.proxy.downstream.accepted import AcceptedConnection
from gateway.proxy.downstream.listeners import Listeners
from gateway.proxy.downstream.server import ProxyServer


class House:
    """What doors ask of a data plane."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()


class Greeter(asyncio.Protocol):
    """Says hello to whoever comes."""

    def __init__(self, accepted: AcceptedConnection | None) -> None:
        self.is_direct = accepted is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


class Broken(socket.socket):
    """A socket for whose copy there is no descriptor."""

    def dup(self) -> "Broken":
        raise OSError(errno.EMFILE, "Too many open files")


async def hello(port: int) -> bytes:
    """What a client is told."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def listening(kind: type[socket.socket] = socket.socket) -> socket.socket:
    """A socket on a loopback port."""
    sock = kind(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)
    return sock


async def test_what_cannot_be_opened_leaves_all_as_it_was() -> None:
    """Clients come in as before, by every door."""
    sock, broken = listening(), listening(Broken)
    port = sock.getsockname()[1]
    doors = Listeners(cast(ProxyServer, House()), Greeter)
    doors.sockets = [sock]
    await doors.open(ListenerOptions())
    doors.sockets = [sock, broken]
    with pytest.raises(OSError, match="Too many open files"):
        await doors.open(ListenerOptions(has_proxy_header=True))
    assert [b"hello"] * 5 == [await hello(port) for _ in range(5)]
    doors.close()


async def test_closed_doors_let_nobody_in() -> None:
    """Not even into a queue: all copies of the socket are closed."""
    sock = listening()
    port = sock.getsockname()[1]
    doors = Listeners(cast(ProxyServer, House()), Greeter)
    doors.sockets = [sock]
    await doors.open(ListenerOptions())
    options: Any = doors.options
    assert ListenerOptions() == options
    assert doors.tls() is None
    assert b"hello" == await hello(port)
    doors.close()
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await hello(port)
