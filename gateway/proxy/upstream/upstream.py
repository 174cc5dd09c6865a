"""An app behind the gateway: its servers, which of them is asked, and when none is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from aiohappyeyeballs import AddrInfoType

from gateway.core.errors import Refusal, UpstreamBusy, UpstreamDown
from gateway.core.request import Outbound
from gateway.core.route import Balance
from gateway.proxy.upstream.balancer import Balancer, Endpoint, HealthPolicy
from gateway.proxy.upstream.connect import RemovedAddresses
from gateway.proxy.upstream.health import HealthCheck, HealthTarget, watch
from gateway.proxy.upstream.overload import RetryBudget
from gateway.proxy.upstream.pool import Connect, UpstreamPool
from gateway.telemetry.counters import CountEvent
from gateway.telemetry.metrics import UPSTREAM_EJECTIONS, UPSTREAM_RETRIES
from gateway.util.circuit_breaker import CircuitBreaker

_log = logging.getLogger(__name__)

CurrentAddresses = Callable[[], Awaitable[Sequence[AddrInfoType]]]
"""All addresses of one server. Raises `OSError`."""

_GATEWAY_FAILURES = frozenset({502, 503, 504})
"""Answers by which an app, or a proxy before it, says that it cannot serve (RFC 9110, 15.6)."""


class UpstreamServer(NamedTuple):
    """One server of an upstream."""

    member: Endpoint
    pool: UpstreamPool
    connect: Connect
    authority: str
    host_line: bytes
    """``Host`` as the server itself would have it."""
    look_up: CurrentAddresses | None
    """Its addresses; None where they are its name."""

    @classmethod
    def of(
        cls,
        name: str,
        authority: str,
        connect: Connect,
        pool: UpstreamPool,
        look_up: CurrentAddresses | None = None,
    ) -> "UpstreamServer":
        """A server that is called ``name`` in logs."""
        host_line = f"Host: {authority}\r\n".encode()
        return cls(Endpoint(name), pool, connect, authority, host_line, look_up)


class UpstreamRules(NamedTuple):
    """How an upstream is dealt with."""

    balance: Balance = Balance.ROUND_ROBIN
    policy: HealthPolicy = HealthPolicy()
    retries: int = 1
    max_in_flight: int | None = None
    circuit: CircuitBreaker | None = None
    health: HealthCheck | None = None
    dns_s: tuple[float, float] = (10.0, 30.0)
    """How often names are looked up while nobody connects; until an address is gone for good."""


class Upstream:
    """The servers of one app. With a single one, it costs as much as that server's pool alone."""

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
        self.servers = tuple(servers)
        self._group = Balancer([server.member for server in servers], rules.balance, rules.policy)
        self._by_member = {server.member: server for server in self.servers}
        self._only = self.servers[0] if len(self.servers) == 1 else None
        self._is_by_caller = rules.balance is Balance.BY_ISSUER
        self._max_in_flight = rules.max_in_flight
        self._circuit = rules.circuit
        self._has_gate = rules.max_in_flight is not None or rules.circuit is not None
        self.is_watching = self._only is None or rules.circuit is not None
        """Whether it matters how requests end; see `answered`."""
        self._budget = RetryBudget()
        self._requests = 0
        self._health = rules.health if self._only is None else None
        self._dns_s = rules.dns_s
        self._loop = loop
        self._count = count
        self._tasks: list[asyncio.Task[None]] = []

    # --- which server --------------------------------------------------------------------------

    def enter(self, outbound: Outbound) -> UpstreamServer:
        """The server for a request. Raises `UpstreamBusy` or `UpstreamDown`."""
        self._requests += 1
        if self._has_gate:
            self._pass_gate()
        return self._only or self._choose(outbound, ())

    def enter_again(
        self, outbound: Outbound, tried: Sequence[UpstreamServer]
    ) -> UpstreamServer | None:
        """
        The server for one more try, another than those ``tried`` if there is one.

        None where retries are used up: there may be so many, and a fifth of the requests at most.
        """
        if len(tried) > self.retries or not self._budget.spend(self._requests, self._loop.time()):
            return None
        self._count(UPSTREAM_RETRIES, self.name)
        return self._only or self._choose(outbound, [server.member for server in tried])

    def _choose(self, outbound: Outbound, tried: Sequence[Endpoint]) -> UpstreamServer:
        caller = _key(outbound) if self._is_by_caller else ""
        return self._by_member[self._group.choose(caller, self._loop.time(), tried)]

    def _pass_gate(self) -> None:
        if self._max_in_flight is not None:
            in_flight = sum(member.in_flight for member in self._group.members)
            if in_flight >= self._max_in_flight:
                raise UpstreamBusy("max_in_flight")
        if self._circuit is not None:
            now_s = self._loop.time()
            if not self._circuit.admit(now_s):
                raise UpstreamDown("circuit breaker", self._circuit.wait_s(now_s))

    # --- how it went ---------------------------------------------------------------------------

    def answered(self, server: UpstreamServer, status: int) -> None:
        """The app answered; only that it cannot serve counts as a failure."""
        if status in _GATEWAY_FAILURES:
            self.failed(server)
            return
        if server.member.is_doubted:
            server.member.answered(self._loop.time())
        if self._circuit is not None:
            self._circuit.succeeded()

    def failed(self, server: UpstreamServer) -> None:
        """There was no connection, no answer, or none that could be read."""
        now_s = self._loop.time()
        if self._circuit is not None:
            self._circuit.failed(now_s)
        if self._group.failed(server.member, now_s):
            self._count(UPSTREAM_EJECTIONS, self.name)
            _log.warning("upstream %s: %s failed too often", self.name, server.member.name)

    def say_where(self, server: UpstreamServer, refusal: Refusal) -> None:
        """Say in the log which of several servers a request ended at."""
        if self._only is None:
            refusal.reason = f"{refusal.reason} ({server.member.name})"

    def servers_out(self) -> int:
        """How many servers are left alone: ejected, or found ill."""
        now_s = self._loop.time()
        return sum(not member.is_usable(now_s) for member in self._group.members)

    # --- its life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin what goes on beside the requests."""
        for server in self.servers:
            if self._health is not None:
                self._tasks.append(self._loop.create_task(self._watch(self._health, server)))
            if server.look_up is not None:
                self._tasks.append(self._loop.create_task(self._follow(server, server.look_up)))

    async def _watch(self, check: HealthCheck, server: UpstreamServer) -> None:
        def tell(is_well: bool) -> None:
            if self._group.checked(server.member, self._loop.time(), is_well=is_well):
                word = "well again" if is_well else "ill"
                _log.warning("upstream %s: %s is %s", self.name, server.member.name, word)

        await watch(check, HealthTarget(server.authority, server.connect, server.pool.make), tell)

    async def _follow(self, server: UpstreamServer, look_up: CurrentAddresses) -> None:
        """Let go of connections to addresses that the server's name has lost."""
        every_s, after_s = self._dns_s
        departures = RemovedAddresses(after_s)
        while True:
            with suppress(OSError):
                found = await look_up()
                server.pool.part_from(departures.gone(found, self._loop.time()))
            await asyncio.sleep(every_s)

    def retire(self) -> None:
        """No more requests will come; those under way finish."""
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
    """Who is asking, as far as it is known."""
    if outbound.identity is not None:
        return outbound.identity.user.issuer
    return outbound.client.limit_key
