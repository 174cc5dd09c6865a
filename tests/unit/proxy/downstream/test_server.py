"""What the connections of a process share: limits, ids, the date, and the drain."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.core.request import Client
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.routing.client_address import client_at
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import CONNECTIONS
from gateway.util.deadlines import Deadlines


class Tunnels:
    """A registry without tunnels; records what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def end_all(self) -> None:
        self.asked.append("end_all")

    async def drain(self, _: float) -> None:
        self.asked.append("drain")


class Connection:
    """A connection; ``is_idle`` closes when it is asked to, any when it is aborted."""

    def __init__(self, server: ProxyServer, last: int = 1, *, is_idle: bool = True) -> None:
        self.peer: Client = client_at(IPv4Address(f"192.0.2.{last}"))
        self.serving: ServingConfig | None = None
        self.calls: list[str] = []
        self._server = server
        self._is_idle = is_idle

    def close_when_idle(self) -> None:
        self.calls.append("close_when_idle")
        if self._is_idle:
            self._server.forget_connection(self)

    def abort(self) -> None:
        self.calls.append("abort")
        self._server.forget_connection(self)

    def check_deadline(self, now_s: float) -> None:
        raise NotImplementedError


class FakeServer(ProxyServer):
    """A server of its own for each test."""

    def __init__(self, limits: ConnectionLimits) -> None:
        loop = asyncio.get_running_loop()
        self.now_s = 1_000_000_000.5
        self.registry = Tunnels()
        self.timers = Deadlines(loop, 1000.0)
        super().__init__(
            loop,
            cast("ServingConfig", SimpleNamespace(trusted_proxies=())),
            limits,
            self.timers,
            WriteBatcher(loop),
            cast("Any", None),
            lambda: self.now_s,
            Counters(),
            cast("Any", self.registry),
        )


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """A server with room for three connections, two of each client."""
    server = FakeServer(ConnectionLimits(connections=3, connections_per_client=2))
    yield server
    server.timers.close()


def outcomes(server: FakeServer) -> dict[str, int]:
    """How connections were counted."""
    counts = server.counters.counts.items()
    return {label: number for (metric, label), number in counts if metric is CONNECTIONS}


async def test_a_client_has_a_share_of_the_connections(server: FakeServer) -> None:
    """One more is refused, and another client is not."""
    assert server.admit_connection(Connection(server))
    assert server.admit_connection(Connection(server))
    assert not server.admit_connection(Connection(server))
    assert {"accepted": 2, "refused": 1} == outcomes(server)


async def test_all_clients_share_the_limit(server: FakeServer) -> None:
    """Also those with few connections."""
    assert all(server.admit_connection(Connection(server, last)) for last in (1, 2, 3))
    assert not server.admit_connection(Connection(server, 4))


async def test_a_closed_connection_gives_its_place_back(server: FakeServer) -> None:
    """Once, however often it is forgotten."""
    first = Connection(server)
    server.admit_connection(first)
    server.admit_connection(Connection(server))
    server.forget_connection(first)
    server.forget_connection(first)
    assert 1 == server.open_connections
    assert server.admit_connection(Connection(server))
    assert not server.admit_connection(Connection(server))


async def test_a_configuration_is_in_use_during_its_requests(server: FakeServer) -> None:
    """A reload waits for them before it closes what they use."""
    connection = Connection(server)
    server.admit_connection(connection)
    assert not server.is_using(server.serving)
    connection.serving = server.serving
    assert server.is_using(server.serving)


async def test_request_ids_are_unique(server: FakeServer) -> None:
    """Also among processes, by a random prefix."""
    other = FakeServer(server.limits)
    other.timers.close()
    ids = {made.next_request_id() for made in (server, other) for _ in range(100)}
    assert 200 == len(ids)


async def test_the_date_is_made_once_a_second(server: FakeServer) -> None:
    """In the format of RFC 9110 section 5.6.7."""
    first = server.http_date()
    assert b"Date: Sun, 09 Sep 2001 01:46:40 GMT\r\n" == first
    assert first is server.http_date()
    server.now_s += 1
    assert b"Date: Sun, 09 Sep 2001 01:46:41 GMT\r\n" == server.http_date()


async def test_a_drain_closes_what_is_idle(server: FakeServer) -> None:
    """And the listeners before that."""
    calls: list[str] = []
    server.close_on_drain(cast("Any", SimpleNamespace(close=lambda: calls.append("closed"))))
    connection = Connection(server)
    server.admit_connection(connection)
    await server.drain(5.0)
    assert ["closed"] == calls
    assert ["close_when_idle"] == connection.calls
    assert server.is_draining


async def test_a_drain_waits_for_what_was_accepted_just_before(server: FakeServer) -> None:
    """An accepted socket becomes a connection an iteration later; its request is answered."""
    late = Connection(server)

    async def make_of_accepted() -> None:
        server.loop.call_soon(server.admit_connection, late)

    making = asyncio.create_task(make_of_accepted())
    draining = asyncio.create_task(server.drain(5.0))
    await making
    for _ in range(5):
        await asyncio.sleep(0)
    assert not draining.done()
    server.forget_connection(late)
    await draining
    assert [] == late.calls


async def test_a_drain_waits_for_requests_under_way(server: FakeServer) -> None:
    """Until its time is up."""
    connection = Connection(server, is_idle=False)
    server.admit_connection(connection)
    draining = asyncio.create_task(server.drain(5.0))
    await asyncio.sleep(0.01)
    assert not draining.done()
    server.forget_connection(connection)
    await draining
    assert ["close_when_idle"] == connection.calls


async def test_a_drain_has_an_end(server: FakeServer) -> None:
    """What is left is aborted."""
    connection = Connection(server, is_idle=False)
    server.admit_connection(connection)
    await server.drain(0.01)
    assert ["close_when_idle", "abort"] == connection.calls
    assert ["drain", "end_all"] == server.registry.asked


async def test_a_second_signal_cuts_a_drain_short(server: FakeServer) -> None:
    """In its delay, too."""
    connection = Connection(server, is_idle=False)
    server.admit_connection(connection)
    draining = asyncio.create_task(server.drain(60.0, 60.0))
    await asyncio.sleep(0)
    server.force_close()
    async with asyncio.timeout(20):
        await draining
    assert "abort" in connection.calls


async def test_draining_begins_with_the_delay(server: FakeServer) -> None:
    """Answers close their connections, while the listeners still accept."""
    calls: list[str] = []
    server.close_on_drain(cast("Any", SimpleNamespace(close=lambda: calls.append("closed"))))
    draining = asyncio.create_task(server.drain(5.0, 0.02))
    await asyncio.sleep(0)
    assert server.is_draining
    assert [] == calls
    await draining
    assert ["closed"] == calls


async def test_what_is_refused_takes_no_place(server: FakeServer) -> None:
    """Of four that wait, those with room take their places again, whatever their order."""
    waiting = [Connection(server, last) for last in (1, 2, 3, 4)]
    assert [True, True, True, False] == [server.reserve(connection) for connection in waiting]
    admitted: list[bool] = []
    for connection in reversed(waiting):
        server.forget_connection(connection)
        admitted.append(server.admit_connection(Connection(server, 9 - len(admitted))))
    assert [False, True, True, True] == admitted
    assert 4 == server.open_connections


async def test_a_server_is_idle_while_no_exchange_is_under_way(server: FakeServer) -> None:
    """Connections that wait for a request, and tunnels, keep it idle."""
    connection = Connection(server)
    server.admit_connection(connection)
    assert server.is_idle
    connection.serving = server.serving
    assert not server.is_idle
