"""From settings to the clients in front of the gateway, and to the apps behind it."""

import asyncio
from functools import partial
from typing import NamedTuple

from gateway.config.addresses import Server as Address
from gateway.config.schema import Settings, TlsSettings, UpstreamSettings
from gateway.proxy.downstream.accept import Manner
from gateway.proxy.downstream.tls import Pair, ServerFiles, ServerTls
from gateway.proxy.http1.write_batch import Outbox
from gateway.proxy.upstream.balancer import Policy
from gateway.proxy.upstream.connect import (
    ClientTls,
    Resolver,
    TlsFiles,
    is_address,
    to_tcp,
    to_unix,
)
from gateway.proxy.upstream.health import HealthCheck
from gateway.proxy.upstream.overload import CircuitBreaker
from gateway.proxy.upstream.pool import Connect, UpstreamPool
from gateway.proxy.upstream.upstream import Rules, Server, Upstream
from gateway.routing.client_address import ClientIp
from gateway.telemetry.counters import Tally
from gateway.util.deadlines import Deadlines

_PAGES_CONNECTIONS = 256


class Shared(NamedTuple):
    """What all connections of a process share."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    outbox: Outbox
    tally: Tally
    resolver: Resolver
    """Its last answers outlast a config: a reload while DNS is down changes nothing."""


def manner(settings: Settings, before: Manner | None) -> Manner:
    """How clients come in. Raises `StartError` where a file of TLS cannot be used."""
    files = _server_files(settings.server.tls)
    tls = before.tls if before else None
    if files is None:
        tls = None
    elif tls is None or tls.files != files:
        tls = ServerTls(files)
    else:
        tls.look()
    return Manner(tls, says_who=ClientIp(settings.server.client_ip) is ClientIp.PROXY_PROTOCOL)


def _server_files(tls: TlsSettings | None) -> ServerFiles | None:
    if tls is None:
        return None
    pairs = [Pair(entry.certificate, entry.key) for entry in tls.certificates]
    if tls.certificate is not None and tls.key is not None:
        pairs.insert(0, Pair(tls.certificate, tls.key))
    return ServerFiles(tuple(pairs), tls.client_ca, tls.client_auth == "optional")


def upstreams(settings: Settings, shared: Shared) -> dict[str, Upstream]:
    """
    The upstreams of ``settings``, by name; to be started and closed by whoever asked.

    Raises `StartError` where a certificate cannot be used.
    """
    return {name: _upstream(name, entry, shared) for name, entry in settings.upstreams.items()}


def pages(name: str, connect: Connect, shared: Shared) -> Upstream:
    """The gateway's own pages, as one more upstream."""
    server = Server.of(name, "localhost", connect, _pool(connect, shared, _PAGES_CONNECTIONS))
    return Upstream(name, [server], Rules(retries=0), shared.loop, shared.tally.add)


def _upstream(name: str, entry: UpstreamSettings, shared: Shared) -> Upstream:
    is_tls = any(address.scheme == "https" for address in entry.servers)
    tls = ClientTls(_tls_files(entry)) if is_tls else None
    servers = []
    for address in entry.servers:
        connect = _connector(address, entry, shared, tls)
        pool = _pool(connect, shared, entry.connections)
        look_up = None
        if address.host and not is_address(address.host):
            look_up = partial(shared.resolver.current, address.host, address.port)
        servers.append(Server.of(str(address), address.authority, connect, pool, look_up))
    return Upstream(name, servers, _rules(entry), shared.loop, shared.tally.add)


def _rules(entry: UpstreamSettings) -> Rules:
    ejection, health, circuit = entry.ejection, entry.health, entry.circuit_breaker
    policy = Policy(
        ejection.failures, ejection.pause_s, ejection.longest_s, slow_start_s=entry.slow_start_s
    )
    check = None
    if health is not None:
        check = HealthCheck(health.path, health.interval_s, health.timeout_s)
        policy = policy._replace(
            healthy_after=health.healthy_after, unhealthy_after=health.unhealthy_after
        )
    return Rules(
        entry.balance,
        policy,
        entry.retries,
        entry.max_in_flight,
        CircuitBreaker(circuit.failures, circuit.pause_s) if circuit is not None else None,
        check,
    )


def _tls_files(entry: UpstreamSettings) -> TlsFiles:
    tls = entry.tls
    return TlsFiles(tls.ca, tls.certificate, tls.key, tls.verify)


def _connector(
    address: Address,
    entry: UpstreamSettings,
    shared: Shared,
    tls: ClientTls | None,
) -> Connect:
    if address.scheme == "unix":
        return to_unix(shared.loop, address.path)
    if address.scheme == "http":
        tls = None
    return to_tcp(
        shared.loop, shared.resolver, address.host, address.port, tls, entry.tls.server_name
    )


def _pool(connect: Connect, shared: Shared, connections: int) -> UpstreamPool:
    return UpstreamPool(shared.loop, connect, shared.deadlines, shared.outbox, connections)
