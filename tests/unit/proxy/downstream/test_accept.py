"""Accepted connections before HTTP: PROXY header, limits and deadline."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.proxy.downstream import accept
from gateway.proxy.downstream.accept import Acceptor, ListenerOptions, PendingConnection
from gateway.proxy.downstream.accepted import AcceptedConnection
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.server import ProxyServer
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import CONNECTIONS

HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n"


class FakeServer:
    """The server as pending connections use it; records their places."""

    def __init__(self, *, room: bool = True) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = ConnectionLimits(head_s=5.0)
        self.serving = SimpleNamespace(trusted_proxies=(ip_network("127.0.0.0/8"),))
        self.counters = Counters()
        self.here: set[Any] = set()
        self.room = room

    def reserve(self, who: PendingConnection) -> bool:
        self.here.add(who)
        return self.room

    def forget_connection(self, who: PendingConnection) -> None:
        self.here.discard(who)

    def outcomes(self) -> dict[str, int]:
        """How connections ended before HTTP."""
        return {
            label: n for (metric, label), n in self.counters.counts.items() if metric is CONNECTIONS
        }


class FakeClientConnection(asyncio.Protocol):
    """Sends the address of its client."""

    def __init__(self, accepted: AcceptedConnection) -> None:
        self._accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._accepted.hand_over().text.encode())
        transport.close()


@contextmanager
def acceptor(server: FakeServer, *, has_proxy_header: bool = True) -> Iterator[Acceptor]:
    """An acceptor on a loopback port."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    opened = Acceptor(
        cast(ProxyServer, server),
        sock,
        ListenerOptions(None, has_proxy_header),
        FakeClientConnection,
    )
    try:
        yield opened
    finally:
        opened.close()


def port_of(opened: Acceptor) -> int:
    """The port of its socket."""
    return int(opened._sock.getsockname()[1])


async def said(opened: Acceptor, data: bytes = HEADER) -> bytes:
    """What is answered to a connection that begins with ``data``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(opened))
    writer.write(data)
    try:
        return await rest(reader)
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end, which may be a reset."""
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def until(server: FakeServer, connections: int) -> None:
    """Wait until there are so many connections."""
    async with asyncio.timeout(20):
        while len(server.here) != connections:
            await asyncio.sleep(0.005)


async def test_the_proxy_header_names_the_client() -> None:
    """The pending connection leaves its place to the client's connection."""
    server = FakeServer()
    with acceptor(server) as opened:
        assert b"203.0.113.9" == await said(opened)
        assert b"127.0.0.1" == await said(opened, b"PROXY UNKNOWN\r\n")
    assert (set(), {}) == (server.here, server.outcomes())


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"PROXY TCP9 \r\n"])
async def test_a_malformed_header_closes_the_connection(data: bytes) -> None:
    """A trusted proxy has to send one."""
    server = FakeServer()
    with acceptor(server) as opened:
        assert b"" == await said(opened, data)
    assert (set(), {"failed": 1}) == (server.here, server.outcomes())


async def test_a_closed_connection_is_forgotten() -> None:
    """Before the header, or in the middle of it."""
    server = FakeServer()
    with acceptor(server) as opened:
        for data in (b"", HEADER[:9]):
            _, writer = await asyncio.open_connection("127.0.0.1", port_of(opened))
            writer.write(data)
            await until(server, 1)
            writer.close()
            await until(server, 0)
    assert {"failed": 2} == server.outcomes()


async def test_a_slow_connection_is_closed() -> None:
    """The time of a head is over at its deadline, and not before; a drain waits that long."""
    server = FakeServer()
    with acceptor(server) as opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(opened))
        writer.write(HEADER[:9])
        await until(server, 1)
        (pending,) = server.here
        pending.check_deadline(server.loop.time())
        pending.close_when_idle()
        assert server.here
        pending.check_deadline(server.loop.time() + 5.1)
        assert b"" == await rest(reader)
        writer.close()
    assert (set(), {"failed": 1}) == (server.here, server.outcomes())


async def test_a_connection_over_the_limit_is_closed() -> None:
    """Before anything is read."""
    server = FakeServer(room=False)
    with acceptor(server) as opened:
        assert b"" == await said(opened)
    assert (set(), {"refused": 1}) == (server.here, server.outcomes())


class Failing:
    """A listening socket whose next accepts fail."""

    def __init__(self, sock: socket.socket, errors: list[int]) -> None:
        self._sock = sock
        self.errors = errors
        self.asked = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.asked += 1
        if self.errors:
            raise OSError(self.errors.pop(0), "no")
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@pytest.mark.parametrize("gone", [errno.ECONNABORTED, errno.EPROTO, errno.ENETUNREACH])
async def test_a_connection_lost_before_accept_is_skipped(gone: int) -> None:
    """The next one in the queue is let in at once."""
    server = FakeServer()
    with acceptor(server, has_proxy_header=False) as opened:
        opened._sock = failing = cast(Any, Failing(opened._sock, [gone]))
        assert b"127.0.0.1" == await said(opened, b"")
        assert 3 == failing.asked  # one failed, one came, then none


@pytest.mark.parametrize("short", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINVAL])
async def test_accepting_pauses_without_descriptors(
    short: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is accepted for a moment; the warning is logged once."""
    monkeypatch.setattr(accept, "_PAUSE_S", 0.02)
    server = FakeServer()
    with acceptor(server, has_proxy_header=False) as opened:
        opened._sock = failing = cast(Any, Failing(opened._sock, [short] * 3))
        assert b"127.0.0.1" == await said(opened, b"")
        assert failing.asked <= 6
    assert 1 == len(caplog.messages)


async def test_an_acceptor_that_is_closed_in_the_pause_stays_closed() -> None:
    """Its timer is gone with it."""
    server = FakeServer()
    with acceptor(server, has_proxy_header=False) as opened:
        opened._sock = cast(Any, Failing(opened._sock, [errno.EMFILE]))
        opened._accept()
        assert opened._timer is not None
    assert opened._timer.cancelled()
