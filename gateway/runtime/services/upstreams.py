"""Build the upstreams: the apps behind the gateway, and its own pages."""

from functools import partial

from gateway.config.addresses import ServerAddress
from gateway.config.schema import Settings
from gateway.config.upstreams import UpstreamSettings
from gateway.core.errors import StartError
from gateway.proxy.upstream.balancer import HealthPolicy
from gateway.proxy.upstream.connect import is_address, to_tcp, to_unix
from gateway.proxy.upstream.health import HealthCheck
from gateway.proxy.upstream.pool import Connect, UpstreamPool
from gateway.proxy.upstream.upstream import Upstream, UpstreamRules, UpstreamServer
from gateway.runtime.process import WireServices
from gateway.telemetry.metrics import UPSTREAM_STRAY_BYTES
from gateway.util.circuit_breaker import CircuitBreaker
from gateway.util.client_tls import ClientTls, ClientTlsFiles, UnusableTlsFiles

_PAGES_CONNECTIONS = 256


def upstreams(settings: Settings, wire: WireServices) -> dict[str, Upstream]:
    """
    Build the upstreams of ``settings``, by name; the caller starts and closes them.

    Raises `StartError` where a certificate cannot be used.
    """
    return {name: _upstream(name, entry, wire) for name, entry in settings.upstreams.items()}


def own_upstream(name: str, connect: Connect, wire: WireServices) -> Upstream:
    """Build the upstream of the gateway's own pages, or of its dashboard."""
    pool = _pool(name, connect, wire, _PAGES_CONNECTIONS)
    server = UpstreamServer.of(name, "localhost", connect, pool)
    return Upstream(name, [server], UpstreamRules(retries=0), wire.loop, wire.counters.add)


def _upstream(name: str, entry: UpstreamSettings, wire: WireServices) -> Upstream:
    tls = client_tls(entry)
    servers = []
    for address in entry.servers:
        connect = _connector(address, entry, wire, tls)
        pool = _pool(name, connect, wire, entry.connections)
        look_up = None
        if address.host and not is_address(address.host):
            look_up = partial(wire.resolver.current, address.host, address.port)
        servers.append(UpstreamServer.of(str(address), address.authority, connect, pool, look_up))
    return Upstream(name, servers, _rules(entry), wire.loop, wire.counters.add)


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
        CircuitBreaker(circuit.failures, circuit.pause_s, reopens=False) if circuit else None,
        check,
        buffer_bytes=entry.buffer_request_bytes,
    )


def client_tls(entry: UpstreamSettings) -> ClientTls | None:
    """
    Load the files for TLS with an upstream; None where no server is at https.

    Raises `StartError` where a file cannot be used.
    """
    if all(address.scheme != "https" for address in entry.servers):
        return None
    tls = entry.tls
    files = ClientTlsFiles(tls.ca, tls.certificate, tls.key, tls.verify)
    try:
        return ClientTls(files, ["http/1.1"])
    except UnusableTlsFiles as error:
        raise StartError(f"TLS to an upstream: {error}") from error


def _connector(
    address: ServerAddress,
    entry: UpstreamSettings,
    wire: WireServices,
    tls: ClientTls | None,
) -> Connect:
    if address.scheme == "unix":
        return to_unix(wire.loop, address.path)
    if address.scheme == "http":
        tls = None
    return to_tcp(wire.loop, wire.resolver, address.host, address.port, tls, entry.tls.server_name)


def _pool(name: str, connect: Connect, wire: WireServices, connections: int) -> UpstreamPool:
    return UpstreamPool(
        wire.loop,
        connect,
        wire.deadlines,
        wire.write_batcher,
        connections,
        partial(wire.counters.add, UPSTREAM_STRAY_BYTES, name),
    )
