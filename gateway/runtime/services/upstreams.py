"""From settings to the clients in front of the gateway, and to the apps behind it."""

import asyncio
from functools import partial
from typing import NamedTuple

from gateway.config.addresses import ServerAddress as Address
from gateway.config.schema import Settings
from gateway.config.server import TlsSettings
from gateway.config.upstreams import UpstreamSettings
from gateway.proxy.downstream.accept import ListenerOptions
from gateway.proxy.downstream.tls import CertificateFiles, ServerTls, ServerTlsFiles
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.balancer import HealthPolicy
from gateway.proxy.upstream.connect import (
    ClientTls,
    ClientTlsFiles,
    Resolver,
    is_address,
    to_tcp,
    to_unix,
)
from gateway.proxy.upstream.health import HealthCheck
from gateway.proxy.upstream.pool import Connect, UpstreamPool
from gateway.proxy.upstream.upstream import Upstream, UpstreamRules, UpstreamServer
from gateway.routing.client_address import ClientIp
from gateway.telemetry.counters import Counters
from gateway.util.circuit_breaker import CircuitBreaker
from gateway.util.deadlines import Deadlines

_PAGES_CONNECTIONS = 256


class WireServices(NamedTuple):
    """What all connections of a process share."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    write_batcher: WriteBatcher
    counters: Counters
    resolver: Resolver
    """Its last answers outlast a config: a reload while DNS is down changes nothing."""


def listener_options(settings: Settings, before: ListenerOptions | None) -> ListenerOptions:
    """How clients come in. Raises `StartError` where a file of TLS cannot be used."""
    files = _server_files(settings.server.tls)
    tls = before.tls if before else None
    if files is None:
        tls = None
    elif tls is None or tls.files != files:
        tls = ServerTls(files)
    else:
        tls.look()
    return ListenerOptions(
        tls, says_who=ClientIp(settings.server.client_ip) is ClientIp.PROXY_PROTOCOL
    )


def _server_files(tls: TlsSettings | None) -> ServerTlsFiles | None:
    if tls is None:
        return None
    pairs = [CertificateFiles(entry.certificate, entry.key) for entry in tls.certificates]
    if tls.certificate is not None and tls.key is not None:
        pairs.insert(0, CertificateFiles(tls.certificate, tls.key))
    return ServerTlsFiles(tuple(pairs), tls.client_ca, tls.client_auth == "optional")


def upstreams(settings: Settings, shared: WireServices) -> dict[str, Upstream]:
    """
    The upstreams of ``settings``, by name; to be started and closed by whoever asked.

    Raises `StartError` where a certificate cannot be used.
    """
    return {name: _upstream(name, entry, shared) for name, entry in settings.upstreams.items()}


def pages(name: str, connect: Connect, shared: WireServices) -> Upstream:
    """The gateway's own pages, as one more upstream."""
    server = UpstreamServer.of(
        name, "localhost", connect, _pool(connect, shared, _PAGES_CONNECTIONS)
    )
    return Upstream(name, [server], UpstreamRules(retries=0), shared.loop, shared.counters.add)


def _upstream(name: str, entry: UpstreamSettings, shared: WireServices) -> Upstream:
    is_tls = any(address.scheme == "https" for address in entry.servers)
    tls = ClientTls(_tls_files(entry)) if is_tls else None
    servers = []
    for address in entry.servers:
        connect = _connector(address, entry, shared, tls)
        pool = _pool(connect, shared, entry.connections)
        look_up = None
        if address.host and not is_address(address.host):
            look_up = partial(shared.resolver.current, address.host, address.port)
        servers.append(UpstreamServer.of(str(address), address.authority, connect, pool, look_up))
    return Upstream(name, servers, _rules(entry), shared.loop, shared.counters.add)


def _rules(entry: UpstreamSettings) -> UpstreamRules:
    ejection, health, circuit = entry.ejection, entry.health, entry.circuit_breaker
    policy = HealthPolicy(
        ejection.failures, ejection.pause_s, ejection.longest_s, slow_start_s=entry.slow_start_s
    )
    check = None
    if health is not None:
        check = HealthCheck(health.path, health.interval_s, health.timeout_s)
        policy = policy._replace(
            healthy_after=health.healthy_after, unhealthy_after=health.unhealthy_after
        )
    return UpstreamRules(
        entry.balance,
        policy,
        entry.retries,
        entry.max_in_flight,
        CircuitBreaker(circuit.failures, circuit.pause_s) if circuit is not None else None,
        check,
    )


def _tls_files(entry: UpstreamSettings) -> ClientTlsFiles:
    tls = entry.tls
    return ClientTlsFiles(tls.ca, tls.certificate, tls.key, tls.verify)


def _connector(
    address: Address,
    entry: UpstreamSettings,
    shared: WireServices,
    tls: ClientTls | None,
) -> Connect:
    if address.scheme == "unix":
        return to_unix(shared.loop, address.path)
    if address.scheme == "http":
        tls = None
    return to_tcp(
        shared.loop, shared.resolver, address.host, address.port, tls, entry.tls.server_name
    )


def _pool(connect: Connect, shared: WireServices, connections: int) -> UpstreamPool:
    return UpstreamPool(shared.loop, connect, shared.deadlines, shared.write_batcher, connections)
