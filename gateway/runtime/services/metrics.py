"""Read the gauges of a process, and what its config names: what the metrics page shows."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gateway import __version__
from gateway.audit.switch import AuditSwitch
from gateway.config.compile import DASHBOARD
from gateway.config.schema import Settings
from gateway.core.ports import Clock
from gateway.pages.routes import PAGES, page_routes
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.downstream.tls import ServerTls
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.hooks import endpoints
from gateway.runtime.services.limits import limit_names
from gateway.telemetry import logs, snapshot
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.counters import Counters
from gateway.telemetry.metric_kinds import CounterSpec, GaugeSpec
from gateway.telemetry.metrics import (
    ACCESS_LOG_DROPPED,
    AUDIT_UP,
    BUILD_INFO,
    CERTIFICATE_EXPIRY,
    CLOCK_SKEW_SECONDS,
    CONFIG_LAST_RELOAD_SUCCESS,
    CONFIG_LAST_RELOAD_TIMESTAMP,
    CONNECTIONS_OPEN,
    LOG_DROPPED,
    MAGIC_UP,
    RELOADS,
    REQUESTS_IN_FLIGHT,
    STORE_UP,
    TUNNELS_OPEN,
    UPSTREAM_BUSY,
    UPSTREAM_CIRCUIT_OPEN,
    UPSTREAM_IDLE,
    UPSTREAM_SERVER_UP,
    UPSTREAM_SERVERS_OUT,
    ReloadOutcome,
)
from gateway.telemetry.process_figures import process_figures
from gateway.telemetry.snapshot import MetricsSnapshot
from gateway.util import kernel

_API_KEY_LIMIT = "api-key"
"""The name of the limits that API keys have of their own."""


class Serving(NamedTuple):
    """What serves in this process."""

    server: ProxyServer
    process: ProcessServices
    log: AccessLog
    tls: ServerTls | None


def snapshot_of(serving: Serving, *, store_answers: bool) -> MetricsSnapshot:
    """Take a snapshot of a process that serves."""
    server, process, log, tls = serving
    levels = _levels(server, process, tls)
    levels[STORE_UP, ""] = float(store_answers)
    dropped: dict[tuple[CounterSpec[Any], str], float] = {(ACCESS_LOG_DROPPED, ""): log.dropped}
    return snapshot_of_process(process.wire.counters, dropped, levels)


def snapshot_of_process(
    counters: Counters,
    counts: Mapping[tuple[CounterSpec[Any], str], float],
    levels: Mapping[tuple[GaugeSpec, str], float],
) -> MetricsSnapshot:
    """Take a snapshot of what a process has counted, and add what each process knows of itself."""
    own_counts, own_levels = process_figures()
    version = ".".join(map(str, sys.version_info[:3]))
    build = f"{__version__},{version},{'C' if kernel.KERNEL else 'Python'}"
    return snapshot.of(
        counters,
        {**counts, **own_counts, (LOG_DROPPED, ""): logs.dropped()},
        {**levels, **own_levels, (BUILD_INFO, build): 1},
    )


def _levels(
    server: ProxyServer, process: ProcessServices, tls: ServerTls | None
) -> dict[tuple[GaugeSpec, str], float]:
    levels: defaultdict[tuple[GaugeSpec, str], float] = defaultdict(float)
    levels[CONNECTIONS_OPEN, ""] = server.open_connections
    levels[REQUESTS_IN_FLIGHT, ""] = server.requests_in_flight
    levels[TUNNELS_OPEN, ""] = len(process.tunnels)
    levels[CLOCK_SKEW_SECONDS, ""] = process.magic.skew.ahead_s
    if isinstance(is_up := getattr(process.magic.source, "is_up", None), bool):
        levels[MAGIC_UP, ""] = int(is_up)  # development mode has no Magic
    levels.update(audit_level(process.trail))
    for file, ends_s in (tls.ends_s if tls else {}).items():
        levels[CERTIFICATE_EXPIRY, file] = ends_s
    for name, upstream in server.serving.upstreams.items():
        levels[UPSTREAM_SERVERS_OUT, name] = upstream.servers_out()
        if (is_open := upstream.is_circuit_open) is not None:
            levels[UPSTREAM_CIRCUIT_OPEN, name] = int(is_open)
        for each in upstream.servers:
            idle, in_use = each.pool.usage()
            levels[UPSTREAM_IDLE, name] += idle
            levels[UPSTREAM_BUSY, name] += in_use
            if name not in (PAGES, DASHBOARD):
                label = f"{name},{each.member.name}"
                levels[UPSTREAM_SERVER_UP, label] = int(upstream.is_usable(each))
    return levels


def audit_level(trail: AuditSwitch) -> dict[tuple[GaugeSpec, str], float]:
    """Return whether the audit file takes lines, where there is one."""
    return {(AUDIT_UP, ""): float(trail.state == "ok")} if trail.state else {}


def config_names(settings: Settings) -> Mapping[str, frozenset[str]]:
    """Return all names of a config by the label that holds them; see `CONFIG_NAMES`."""
    own = [route.name for route in page_routes(settings.server.prefix, ())]
    return {
        "route": frozenset([*(route.name for route in settings.routes), *own]),
        "limit": frozenset([*limit_names(settings), _API_KEY_LIMIT]),
        "upstream": frozenset([*settings.upstreams, PAGES, DASHBOARD]),
        "endpoint": frozenset(each.name for each in endpoints(settings)),
    }


def noting_reloads(counters: Counters, clock: Clock = time.time) -> Callable[[ReloadOutcome], None]:
    """Return what is called with the outcome of each reload; the config of the start was taken."""

    def note(outcome: ReloadOutcome) -> None:
        counters.add(RELOADS, outcome)
        _note_config(counters, outcome, clock)

    _note_config(counters, "applied", clock)
    return note


def _note_config(counters: Counters, outcome: ReloadOutcome, clock: Clock) -> None:
    is_applied = outcome == "applied"
    counters.levels[CONFIG_LAST_RELOAD_SUCCESS, ""] = int(is_applied)
    if is_applied:
        counters.levels[CONFIG_LAST_RELOAD_TIMESTAMP, ""] = clock()
