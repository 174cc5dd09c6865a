"""The data plane: all client connections of a process, and what they share."""

import asyncio
import itertools
import secrets
from collections.abc import Mapping
from contextlib import suppress
from email.utils import formatdate
from typing import NamedTuple, Protocol

from gateway.core.address import IPNetwork
from gateway.core.ports import Clock
from gateway.core.record import RequestRecord
from gateway.core.request import Client, RequestHead
from gateway.headers.response import ResponseFields
from gateway.pipeline.request import Admit
from gateway.proxy.downstream.bind import ListeningServer
from gateway.proxy.downstream.limits import ConnectionCounter
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.proxy.upstream.upstream import Upstream
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import CONNECTIONS
from gateway.util.deadlines import Deadlines, HasDeadline


class ConnectionLimits(NamedTuple):
    """What one client may use. Times in seconds, sizes in bytes."""

    head_s: float = 10.0
    body_idle_s: float = 30.0
    keep_alive_s: float = 75.0
    half_closed_s: float = 5.0
    min_bytes_per_s: int = 128
    head_bytes: int = 16 * 1024
    fields: int = 100
    connections: int = 10_000
    connections_per_client: int = 1000
    tunnels: int = 10_000


class ServingConfig(NamedTuple):
    """What a config is compiled to; swapped whole, between two requests."""

    admit: Admit
    upstreams: Mapping[str, Upstream]
    answer_fields: ResponseFields
    max_body_bytes: int
    trusted_proxies: tuple[IPNetwork, ...]


class LogRequest(Protocol):
    """Writes one line about one request."""

    def __call__(
        self,
        head: RequestHead | None,
        record: RequestRecord,
        status: int,
        bytes_out: int,
        duration_s: float,
    ) -> None:
        """``head`` is None where the bytes were no request."""


class ServedConnection(HasDeadline, Protocol):
    """A client's connection, as far as the plane deals with it."""

    peer: Client
    serving: ServingConfig | None
    """What judges the exchange that is under way, if one is."""

    def finish_soon(self) -> None:
        """Close now if idle, else after the answer that is under way."""

    def abort(self) -> None:
        """Close at once."""


class ProxyServer:
    """Accepts connections and ends them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        serving: ServingConfig,
        limits: ConnectionLimits,
        deadlines: Deadlines,
        write_batcher: WriteBatcher,
        log: LogRequest,
        clock: Clock,
        counters: Counters,
        tunnels: TunnelRegistry,
    ) -> None:
        self.loop = loop
        self.serving = serving
        self.limits = limits
        self.log = log
        self.write_batcher = write_batcher
        self.counters = counters
        self.tunnels = tunnels
        self.is_draining = False
        self._deadlines = deadlines
        self._clock = clock
        self._connections: set[ServedConnection] = set()
        self._occupancy = ConnectionCounter()
        self._servers: list[ListeningServer] = []
        self._all_gone = asyncio.Event()
        self._hurry = asyncio.Event()
        self._id_prefix = secrets.token_hex(4)
        self._ids = itertools.count(1)
        self._date = (0, b"")

    def closes(self, server: ListeningServer) -> None:
        """Draining closes ``server``."""
        self._servers.append(server)

    async def drain(self, within_s: float, delay_s: float = 0.0) -> None:
        """
        Stop: accept nothing, close what is idle, let requests under way finish.

        After ``within_s`` seconds the rest is cut off. For ``delay_s`` before that all goes on, but
        each answer is its connection's last, and whoever asks is told that this one is not ready.
        """
        self.is_draining = True
        if delay_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._hurry.wait()
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.finish_soon()
        if self._connections:
            closing = self.loop.create_task(self.tunnels.drain(within_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(0 if self._hurry.is_set() else within_s):
                    await self._emptied()
            closing.cancel()
            self._cut_off()
            await self._emptied()

    async def _emptied(self) -> None:
        """For a moment nobody may be here: one who comes in gives up a place and takes one."""
        while self._connections:
            self._all_gone.clear()
            await self._all_gone.wait()

    def hurry(self) -> None:
        """End a drain at once, now or as soon as it begins."""
        self._hurry.set()
        self._cut_off()

    def _cut_off(self) -> None:
        self.tunnels.end_all()  # one whose client is gone waits for its app to take all
        for connection in tuple(self._connections):
            connection.abort()

    def is_using(self, serving: ServingConfig) -> bool:
        """Whether an exchange that began on ``serving`` is under way."""
        return any(connection.serving is serving for connection in self._connections)

    @property
    def open_connections(self) -> int:
        """Connections from clients."""
        return len(self._connections)

    # --- for connections -----------------------------------------------------------------------

    def admit_connection(self, connection: ServedConnection) -> bool:
        """Whether there is room for one more."""
        has_room = self.reserve(connection)
        self.counters.add(CONNECTIONS, "accepted" if has_room else "refused")
        return has_room

    def reserve(self, connection: ServedConnection) -> bool:
        """Like `admit_connection`, for what is no client's connection yet."""
        limits, trusted = self.limits, self.serving.trusted_proxies
        has_room = len(self._connections) < limits.connections
        self._connections.add(connection)
        self._deadlines.watch(connection)
        may_have_it = self._occupancy.enter(connection.peer, limits.connections_per_client, trusted)
        return has_room and may_have_it

    def forget_connection(self, connection: ServedConnection) -> None:
        """It is closed."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._occupancy.leave(connection.peer)
        self._deadlines.forget(connection)
        if not self._connections:
            self._all_gone.set()

    def next_request_id(self) -> str:
        """Unique over processes and restarts; it guards nothing, so it may be guessed."""
        return f"{self._id_prefix}{next(self._ids):08x}"

    def http_date(self) -> bytes:
        """The Date field (RFC 9110 section 6.6.1), made once a second."""
        second = int(self._clock())
        if self._date[0] != second:
            self._date = (second, f"Date: {formatdate(second, usegmt=True)}\r\n".encode())
        return self._date[1]
