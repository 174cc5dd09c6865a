"""Connections on their way in: what is owed, and what happens to who does not pay."""

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


class House:
    """What arrivals ask of a data plane; it remembers who has a place."""

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
        """How connections ended that never were a client's."""
        return {
            label: n for (metric, label), n in self.counters.counts.items() if metric is CONNECTIONS
        }


class Guest(asyncio.Protocol):
    """Says who it is taken for."""

    def __init__(self, accepted: AcceptedConnection) -> None:
        self._accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._accepted.hand_over().text.encode())
        transport.close()


@contextmanager
def door(house: House, *, has_proxy_header: bool = True) -> Iterator[Acceptor]:
    """A door on a loopback port."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    opened = Acceptor(
        cast(ProxyServer, house), sock, ListenerOptions(None, has_proxy_header), Guest
    )
    try:
        yield opened
    finally:
        opened.close()


def port_of(opened: Acceptor) -> int:
    """Where it is."""
    return int(opened._sock.getsockname()[1])


async def said(opened: Acceptor, data: bytes = HEADER) -> bytes:
    """What a guest is told who begins with ``data``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(opened))
    writer.write(data)
    try:
        return await rest(reader)
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end, which may be a reset."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def until(house: House, guests: int) -> None:
    """Wait until so many have a place."""
    async with asyncio.timeout(5):
        while len(house.here) != guests:
            await asyncio.sleep(0.005)


async def test_a_guest_is_who_the_balancer_says() -> None:
    """And leaves its place to the client's connection."""
    house = House()
    with door(house) as opened:
        assert b"203.0.113.9" == await said(opened)
        assert b"127.0.0.1" == await said(opened, b"PROXY UNKNOWN\r\n")
    assert (set(), {}) == (house.here, house.outcomes())


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"PROXY TCP9 \r\n"])
async def test_what_is_no_header_ends_it(data: bytes) -> None:
    """Whoever is trusted to send one must."""
    house = House()
    with door(house) as opened:
        assert b"" == await said(opened, data)
    assert (set(), {"failed": 1}) == (house.here, house.outcomes())


async def test_who_leaves_is_forgotten() -> None:
    """Before the header, or in the middle of it."""
    house = House()
    with door(house) as opened:
        for data in (b"", HEADER[:9]):
            _, writer = await asyncio.open_connection("127.0.0.1", port_of(opened))
            writer.write(data)
            await until(house, 1)
            writer.close()
            await until(house, 0)
    assert {"failed": 2} == house.outcomes()


async def test_who_is_slow_is_given_up() -> None:
    """The time of a head is over at its deadline, and not before; a drain waits that long."""
    house = House()
    with door(house) as opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(opened))
        writer.write(HEADER[:9])
        await until(house, 1)
        (guest,) = house.here
        guest.check_deadline(house.loop.time())
        guest.close_when_idle()
        assert house.here
        guest.check_deadline(house.loop.time() + 5.1)
        assert b"" == await rest(reader)
        writer.close()
    assert (set(), {"failed": 1}) == (house.here, house.outcomes())


async def test_where_there_is_no_room_it_ends() -> None:
    """Before anything is read."""
    house = House(room=False)
    with door(house) as opened:
        assert b"" == await said(opened)
    assert (set(), {"refused": 1}) == (house.here, house.outcomes())


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
async def test_who_was_gone_before_is_passed_over(gone: int) -> None:
    """The next one in the queue is let in at once."""
    house = House()
    with door(house, has_proxy_header=False) as opened:
        opened._sock = failing = cast(Any, Failing(opened._sock, [gone]))
        assert b"127.0.0.1" == await said(opened, b"")
        assert 3 == failing.asked  # one failed, one came, then nobody


@pytest.mark.parametrize("short", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINVAL])
async def test_a_lack_of_descriptors_is_waited_for(
    short: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is accepted for a moment; it is said once."""
    monkeypatch.setattr(accept, "_PAUSE_S", 0.02)
    house = House()
    with door(house, has_proxy_header=False) as opened:
        opened._sock = failing = cast(Any, Failing(opened._sock, [short] * 3))
        assert b"127.0.0.1" == await said(opened, b"")
        assert failing.asked <= 6
    assert 1 == len(caplog.messages)


async def test_a_door_that_is_closed_in_the_pause_stays_closed() -> None:
    """Its timer is gone with it."""
    house = House()
    with door(house, has_proxy_header=False) as opened:
        opened._sock = cast(Any, Failing(opened._sock, [errno.EMFILE]))
        opened._accept()
        assert opened._timer is not None
    assert opened._timer.cancelled()
