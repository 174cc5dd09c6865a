"""An app behind the gateway: its servers, the choice among them, and limits on requests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from aiohappyeyeballs import AddrInfoType

from gateway.core.errors import Refusal, UpstreamBusy, UpstreamDown
from gateway.core.reasons import BusyReason, Reason
from gateway.core.request import Client, Outbound
from gateway.core.route import Balance
from gateway.proxy.upstream.balancer import Balancer, Endpoint, HealthPolicy
from gateway.proxy.upstream.connect import RemovedAddresses
from gateway.proxy.upstream.health import HealthCheck, HealthTarget, watch
from gateway.proxy.upstream.overload import RetryBudget
from gateway.proxy.upstream.pool import Connect, UpstreamPool
from gateway.telemetry.counters import CountEvent
from gateway.telemetry.metrics import UPSTREAM_EJECTIONS, UPSTREAM_RETRIES
from gateway.util.circuit_breaker import CircuitBreaker
from gateway.util.deadlines import Deadlines

_log = logging.getLogger(__name__)

CurrentAddresses = Callable[[], Awaitable[Sequence[AddrInfoType]]]
"""Returns all addresses of one server. Raises `OSError`."""

_WARN_EVERY_S = 60.0

_GATEWAY_FAILURES = frozenset({502, 503, 504})
"""Status codes that count as failures of the server (RFC 9110 section 15.6)."""


@dataclass(frozen=True, slots=True, eq=False)
class UpstreamServer:
    """One server of an upstream."""

    member: Endpoint
    pool: UpstreamPool
    connect: Connect
    authority: str
    host_line: bytes
    """The ``Host`` field that names the server itself."""
    look_up: CurrentAddresses | None
    """Looks up its addresses; None if its name is an address or a path."""

    @classmethod
    def of(
        cls,
        name: str,
        authority: str,
        connect: Connect,
        pool: UpstreamPool,
        look_up: CurrentAddresses | None = None,
    ) -> "UpstreamServer":
        """Make a server that is called ``name`` in logs."""
        host_line = f"Host: {authority}\r\n".encode()
        return cls(Endpoint(name), pool, connect, authority, host_line, look_up)


class UpstreamRules(NamedTuple):
    """The settings of an upstream."""

    balance: Balance = Balance.ROUND_ROBIN
    policy: HealthPolicy = HealthPolicy()
    retries: int = 1
    max_in_flight: int | None = None
    circuit: CircuitBreaker | None = None
    health: HealthCheck | None = None
    dns_s: tuple[float, float] = (10.0, 30.0)
    """Interval of look-ups; and how long an address may be missing before it counts as removed."""
    buffer_bytes: int = 64 * 1024
    """How much of a request's body is taken in before a connection is used; 0 for nothing."""
    buffer_s: float = 1.0
    """How long it is waited for."""


class UpstreamPreview(NamedTuple):
    """What an upstream would do with a request."""

    server: str
    servers: dict[str, bool]
    """Whether each server is usable: neither ejected nor unhealthy."""
    refusal: Refusal | None


class Upstream:
    """The servers of one app. A single server costs no more than its pool."""

    def __init__(
        self,
        name: str,
        servers: Sequence[UpstreamServer],
        rules: UpstreamRules,
        loop: asyncio.AbstractEventLoop,
        count: CountEvent,
    ) -> None:
        self.name = name
        self.retries = rules.retries
        self.buffer_bytes = rules.buffer_bytes
        self.buffer_s = rules.buffer_s
        self.servers = tuple(servers)
        self._group = Balancer([server.member for server in servers], rules.balance, rules.policy)
        self._by_member = {server.member: server for server in self.servers}
        self._only = self.servers[0] if len(self.servers) == 1 else None
        self._is_by_caller = rules.balance is Balance.BY_ISSUER
        self._max_in_flight = rules.max_in_flight
        self._circuit = rules.circuit
        self._has_gate = rules.max_in_flight is not None or rules.circuit is not None
        self.is_watching = self._only is None or rules.circuit is not None
        """Whether the outcomes of requests are used; see `answered`."""
        self._budget = RetryBudget()
        self._requests = 0
        self._health = rules.health if self._only is None else None
        self._dns_s = rules.dns_s
        self.loop = loop
        self._count = count
        self._tasks: list[asyncio.Task[None]] = []
        self._warned_s = -inf

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines that all connections share."""
        return self.servers[0].pool.deadlines

    # --- which server --------------------------------------------------------------------------

    def enter(self, outbound: Outbound) -> UpstreamServer:
        """Return the server for a request. Raises `UpstreamBusy` or `UpstreamDown`."""
        self._requests += 1
        if self._has_gate:
            self._pass_gate()
        return self._only or self._choose(outbound, ())

    def enter_again(
        self, outbound: Outbound, tried: Sequence[UpstreamServer]
    ) -> UpstreamServer | None:
        """
        Return the server for a retry, if possible one that is not in ``tried``.

        None if the request, or the retry budget of the upstream, is used up.
        """
        if len(tried) > self.retries or not self._budget.spend(self._requests, self.loop.time()):
            return None
        self._count(UPSTREAM_RETRIES, self.name)
        return self._only or self._choose(outbound, [server.member for server in tried])

    def _choose(self, outbound: Outbound, tried: Sequence[Endpoint]) -> UpstreamServer:
        caller = _key(outbound) if self._is_by_caller else ""
        return self._by_member[self._group.choose(caller, self.loop.time(), tried)]

    def _pass_gate(self) -> None:
        if self._max_in_flight is not None:
            in_flight = sum(member.in_flight for member in self._group.members)
            if in_flight >= self._max_in_flight:
                raise UpstreamBusy("max_in_flight")
        if self._circuit is not None:
            now_s = self.loop.time()
            if not self._circuit.admit(now_s):
                raise UpstreamDown("circuit breaker", self._circuit.wait_s(now_s))

    def preview(self, outbound: Outbound) -> "UpstreamPreview":
        """Return what `enter` would do with a request now, and leave all as it is."""
        now_s, caller = self.loop.time(), _key(outbound) if self._is_by_caller else ""
        in_flight = sum(member.in_flight for member in self._group.members)
        refusal: Refusal | None = None
        if self._max_in_flight is not None and in_flight >= self._max_in_flight:
            refusal = UpstreamBusy("max_in_flight")
        elif self._circuit is not None and (wait_s := self._circuit.wait_s(now_s)):
            refusal = UpstreamDown("circuit breaker", wait_s)
        servers = {member.name: member.is_usable(now_s) for member in self._group.members}
        return UpstreamPreview(self._group.preview(caller, now_s).name, servers, refusal)

    # --- how it went ---------------------------------------------------------------------------

    def answered(self, server: UpstreamServer, status: int) -> None:
        """Record an answer; only a gateway error counts as a failure."""
        if status in _GATEWAY_FAILURES:
            self.failed(server)
            return
        if server.member.is_doubted:
            server.member.answered(self.loop.time())
        if self._circuit is not None:
            self._circuit.succeeded()

    def failed(self, server: UpstreamServer) -> None:
        """Record a failure: no connection, no answer, none that could be parsed, or half of one."""
        now_s = self.loop.time()
        if self._circuit is not None:
            self._circuit.failed(now_s)
        if self._group.failed(server.member, now_s):
            self._count(UPSTREAM_EJECTIONS, self.name)
            _log.warning(
                "upstream %s: %s ejected after repeated failures", self.name, server.member.name
            )

    def was_busy(self, server: UpstreamServer, refusal: UpstreamBusy, client: Client) -> None:
        """
        Warn if ``client`` was refused for its share, and no other client is there.

        Then it is probably a proxy in front, which the config does not name as one.
        """
        if refusal.reason is not BusyReason.CLIENT_SHARE or server.pool.clients() > 1:
            return
        now_s = self.loop.time()
        if now_s - self._warned_s < _WARN_EVERY_S:
            return
        self._warned_s = now_s
        _log.warning(
            "upstream %s: one client, %s, has all connections that are in use; if it is a proxy in"
            " front, set server.client_ip and server.trusted_proxies",
            self.name,
            client.text,
        )

    def add_server_name(self, server: UpstreamServer, refusal: Refusal) -> None:
        """Add the server to the logged reason, if the upstream has several; words stay words."""
        if self._only is None and not isinstance(refusal.reason, Reason):
            refusal.reason = f"{refusal.reason} ({server.member.name})"

    def is_usable(self, server: UpstreamServer) -> bool:
        """Return whether ``server`` is neither ejected nor unhealthy."""
        return server.member.is_usable(self.loop.time())

    @property
    def is_circuit_open(self) -> bool | None:
        """Whether the circuit breaker is open; None where there is none."""
        return None if self._circuit is None else not self._circuit.is_closed

    def servers_out(self) -> int:
        """Return the number of servers that are ejected or unhealthy."""
        now_s = self.loop.time()
        return sum(not member.is_usable(now_s) for member in self._group.members)

    # --- its life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start health checks and DNS look-ups."""
        for server in self.servers:
            if self._health is not None:
                self._tasks.append(self.loop.create_task(self._watch(self._health, server)))
            if server.look_up is not None:
                self._tasks.append(self.loop.create_task(self._follow(server, server.look_up)))

    async def _watch(self, check: HealthCheck, server: UpstreamServer) -> None:
        def tell(fault: str | None) -> None:
            if self._group.checked(server.member, self.loop.time(), is_healthy=fault is None):
                word = "healthy" if fault is None else f"unhealthy: {fault}"
                _log.warning("upstream %s: %s is %s", self.name, server.member.name, word)

        await watch(check, HealthTarget(server.authority, server.connect, server.pool.make), tell)

    async def _follow(self, server: UpstreamServer, look_up: CurrentAddresses) -> None:
        """Close connections to addresses that the server's name has lost, until cancelled."""
        every_s, after_s = self._dns_s
        removed = RemovedAddresses(after_s)
        while True:
            with suppress(OSError):
                found = await look_up()
                server.pool.close_addresses(removed.gone(found, self.loop.time()))
            await asyncio.sleep(every_s)

    def retire(self) -> None:
        """Stop, and close idle connections; requests under way finish."""
        self._stop()
        for server in self.servers:
            server.pool.retire()

    async def aclose(self) -> None:
        """Close every connection at once."""
        self._stop()
        for server in self.servers:
            server.pool.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()


def _key(outbound: Outbound) -> str:
    """Return the key of the caller: its issuer, else its address."""
    if outbound.identity is not None:
        return outbound.identity.user.issuer
    return outbound.client.limit_key
