"""All client connections of a process, and what they share."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Protocol

from gateway.core.address import IPNetwork
from gateway.core.errors import Refusal
from gateway.core.handling import Admit, LogRequest, RefusalsTold
from gateway.core.ports import Clock
from gateway.core.problem import ProblemAnswer
from gateway.core.request import Client, RequestHead
from gateway.headers.response import ResponseFields
from gateway.proxy.answer_costs import AnswerCosts
from gateway.proxy.downstream.bind import ListeningServer
from gateway.proxy.downstream.limits import ConnectionCounter, ConnectionLimits, CountsOfOthers
from gateway.proxy.http1.kernel_table import line_table
from gateway.proxy.http1.parser import KNOWN_NAMES
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.proxy.upstream.upstream import Upstream
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import CONNECTIONS
from gateway.util.deadlines import Deadlines, HasDeadline

_UNTIL_CONNECTED = 2
"""Iterations of the event loop after which an accepted socket is a connection, and counted."""


ToPage = Callable[[RequestHead, Refusal, ProblemAnswer], ProblemAnswer]
"""Makes a page of the answer to a refusal where a person is to see it."""


@dataclass(frozen=True, slots=True, eq=False)
class ServingConfig:
    """A compiled configuration; a reload replaces it as a whole, between two requests."""

    admit: Admit
    upstreams: Mapping[str, Upstream]
    answer_fields: ResponseFields
    max_body_bytes: int
    trusted_proxies: tuple[IPNetwork, ...]
    costs: AnswerCosts
    """Charges what answers cost."""
    with_sent_id: Callable[[RequestHead], RequestHead] | None = None
    """Gives a head the id that a trusted proxy sent; None where there are no such proxies."""
    told: RefusalsTold = field(default_factory=dict)
    """What is called with refusals of a kind."""
    to_page: ToPage | None = None
    """None where all refusals are answered for programs."""


class ServedConnection(HasDeadline, Protocol):
    """A client connection, as the server sees it."""

    peer: Client
    serving: ServingConfig | None
    """The configuration of the exchange under way, if any."""

    def close_when_idle(self) -> None:
        """Close now, or after the answer that is under way."""

    def abort(self) -> None:
        """Close at once."""


class ProxyServer:
    """Admits client connections, and closes them when the gateway stops."""

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
        counts: CountsOfOthers | None = None,
    ) -> None:
        """``counts`` are of the connections of each client to other workers."""
        self.loop = loop
        self.serving = serving
        self.limits = limits
        self.log = log
        self.write_batcher = write_batcher
        self.counters = counters
        self.tunnels = tunnels
        self.lines = line_table(KNOWN_NAMES)
        deadlines.watch(self.lines)
        self.is_draining = False
        self._deadlines = deadlines
        self._clock = clock
        self._connections: set[ServedConnection] = set()
        self._without_room: set[ServedConnection] = set()
        """Those beyond the limits, which are about to close: they take no place from others."""
        self._per_client = ConnectionCounter(counts)
        self._listeners: list[ListeningServer] = []
        self._is_empty = asyncio.Event()
        self._force_close = asyncio.Event()
        self._id_prefix = secrets.token_hex(4)
        self._ids = itertools.count(1)
        self._date = (0, b"")

    def close_on_drain(self, listener: ListeningServer) -> None:
        """Have `drain` close ``listener``."""
        self._listeners.append(listener)

    async def drain(self, within_s: float, delay_s: float = 0.0) -> None:
        """
        Stop: accept no connections, close idle ones, let requests under way finish.

        After ``within_s`` seconds the rest is aborted. For ``delay_s`` before that the server goes
        on, but each answer closes its connection, and readiness checks fail.
        """
        self.is_draining = True
        if delay_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._force_close.wait()
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self._connections):
            connection.close_when_idle()
        for _ in range(_UNTIL_CONNECTED):
            await asyncio.sleep(0)
        if self._connections:
            closing = self.loop.create_task(self.tunnels.drain(within_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(0 if self._force_close.is_set() else within_s):
                    await self._wait_until_empty()
            closing.cancel()
            self._abort_all()
            await self._wait_until_empty()

    async def _wait_until_empty(self) -> None:
        """
        Wait until there are no connections.

        The count is also 0 for a moment while an accepted connection gives up its place and the
        client's connection takes one: so it is checked again after each wait.
        """
        while self._connections:
            self._is_empty.clear()
            await self._is_empty.wait()

    def force_close(self) -> None:
        """Abort all connections, and end a drain as soon as it begins."""
        self._force_close.set()
        self._abort_all()

    def _abort_all(self) -> None:
        self.tunnels.end_all()  # one whose client is gone waits until its app has read all
        for connection in tuple(self._connections):
            connection.abort()

    def is_using(self, serving: ServingConfig) -> bool:
        """Return whether an exchange that began with ``serving`` is under way."""
        return any(connection.serving is serving for connection in self._connections)

    @property
    def is_idle(self) -> bool:
        """Whether no exchange is under way; tunnels are none."""
        return all(connection.serving is None for connection in self._connections)

    @property
    def requests_in_flight(self) -> int:
        """Number of exchanges that are under way; tunnels are none."""
        return sum(connection.serving is not None for connection in self._connections)

    @property
    def open_connections(self) -> int:
        """Number of connections from clients."""
        return len(self._connections)

    # --- for connections -----------------------------------------------------------------------

    def admit_connection(self, connection: ServedConnection) -> bool:
        """Count a client connection; return whether it is within the limits."""
        has_room = self.reserve(connection)
        self.counters.add(CONNECTIONS, "accepted" if has_room else "refused")
        return has_room

    def reserve(self, connection: ServedConnection) -> bool:
        """Like `admit_connection`, for a connection before its PROXY header or TLS handshake."""
        limits, trusted = self.limits, self.serving.trusted_proxies
        taken = len(self._connections) - len(self._without_room)
        self._connections.add(connection)
        self._deadlines.watch(connection)
        has_room = taken < limits.connections and self._per_client.acquire(
            connection.peer, limits.connections_per_client, trusted
        )
        if not has_room:
            self._without_room.add(connection)
        return has_room

    def forget_connection(self, connection: ServedConnection) -> None:
        """Note that a connection is closed."""
        if connection in self._connections:
            self._connections.remove(connection)
            if connection in self._without_room:
                self._without_room.remove(connection)
            else:
                self._per_client.release(connection.peer)
        self._deadlines.forget(connection)
        if not self._connections:
            self._is_empty.set()

    def next_request_id(self) -> str:
        """Return an id unique over processes and restarts; it is no secret, and can be guessed."""
        return f"{self._id_prefix}{next(self._ids):08x}"

    def http_date(self) -> bytes:
        """Return the Date field (RFC 9110 section 6.6.1), formatted once a second."""
        second = int(self._clock())
        if self._date[0] != second:
            self._date = (second, f"Date: {formatdate(second, usegmt=True)}\r\n".encode())
        return self._date[1]
