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
    """What listeners ask of a data plane."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()


class Greeter(asyncio.Protocol):
    """Says hello to each client."""

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
        async with asyncio.timeout(20):
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


async def test_a_failed_change_leaves_the_listeners_as_they_were() -> None:
    """Clients connect as before, to every listener."""
    sock, broken = listening(), listening(Broken)
    port = sock.getsockname()[1]
    listeners = Listeners(cast(ProxyServer, House()), Greeter)
    listeners.sockets = [sock]
    await listeners.open(ListenerOptions())
    listeners.sockets = [sock, broken]
    with pytest.raises(OSError, match="Too many open files"):
        await listeners.open(ListenerOptions(has_proxy_header=True))
    assert [b"hello"] * 5 == [await hello(port) for _ in range(5)]
    listeners.close()


async def test_closed_listeners_accept_no_connection() -> None:
    """Not even into a queue: all copies of the socket are closed."""
    sock = listening()
    port = sock.getsockname()[1]
    listeners = Listeners(cast(ProxyServer, House()), Greeter)
    listeners.sockets = [sock]
    await listeners.open(ListenerOptions())
    options: Any = listeners.options
    assert ListenerOptions() == options
    assert listeners.tls() is None
    assert b"hello" == await hello(port)
    listeners.close()
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await hello(port)


async def test_listeners_accept_for_another_worker() -> None:
    """They do until its sockets are replaced by none, across changes; then its clients wait."""
    own, other = listening(), listening()
    port = other.getsockname()[1]
    listeners = Listeners(cast(ProxyServer, House()), Greeter)
    listeners.sockets = [own]
    await listeners.open(ListenerOptions(has_proxy_header=True))
    await listeners.accept_for(2, [other.dup()])
    await listeners.open(ListenerOptions())
    assert [b"hello"] * 3 == [await hello(port) for _ in range(3)]

    await listeners.accept_for(2, [])
    await asyncio.sleep(0)
    with socket.create_connection(("127.0.0.1", port)):
        accepted, _ = await asyncio.get_running_loop().sock_accept(other)
        accepted.close()
    other.close()
    listeners.close()


async def test_closed_listeners_accept_for_no_other_worker() -> None:
    """All copies of its sockets are closed, too."""
    other = listening()
    port = other.getsockname()[1]
    listeners = Listeners(cast(ProxyServer, House()), Greeter)
    await listeners.open(ListenerOptions())
    await listeners.accept_for(2, [other])
    listeners.close()
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await hello(port)
