"""
Figures of the dashboard, as JSON: what the metrics page has, put together for people.

All are totals since the start; the page takes the differences. So they are those of ``/metrics``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.admin.status import Status
from gateway.telemetry import metrics
from gateway.telemetry.metric_kinds import MetricSpec
from gateway.telemetry.metrics import BUCKETS_S, SHORT_BUCKETS_S, HistogramSpec
from gateway.telemetry.snapshot import MetricsSnapshot

MAX_ROUTES: Final = 50
MAX_NAMES: Final = 100
"""Limits, reasons, servers: those with most are told."""

BOUNDS: Final = {"total": BUCKETS_S, "gateway": SHORT_BUCKETS_S, "app": BUCKETS_S}
"""Upper bounds of the buckets of the durations, in seconds."""

Figures = dict[str, Any]


class Overview(NamedTuple):
    """The metrics of a gateway, and those of each of its processes that serve."""

    whole: MetricsSnapshot
    parts: Mapping[str, MetricsSnapshot]
    """By the name of the process; empty for one that is down."""


def figures(overview: Overview, status: Status, now_s: float) -> Figures:
    """Return the figures of one time."""
    found = _Totals(overview.whole)
    return {
        "time_s": round(now_s, 3),
        "status": status.status,
        "checks": [check._asdict() for check in status.checks],
        "audit": status.audit,
        "requests": _by_status(found),
        "routes": _routes(found),
        "refusals": _most(found.counts(metrics.REFUSALS)),
        "reasons": _most(found.counts(metrics.REFUSAL_REASONS)),
        "limits": _limits(found),
        "durations": {
            "total": found.buckets(metrics.REQUEST_DURATION),
            "gateway": found.buckets(metrics.GATEWAY_DURATION),
            "app": found.buckets(metrics.UPSTREAM_DURATION),
        },
        "open": {
            "connections": found.level(metrics.CONNECTIONS_OPEN),
            "requests": found.level(metrics.REQUESTS_IN_FLIGHT),
            "tunnels": found.level(metrics.TUNNELS_OPEN),
        },
        "upstreams": _upstreams(found),
        "store": {
            "up": found.level(metrics.STORE_UP),
            "errors": found.count(metrics.STORE_ERRORS),
            "grace": found.count(metrics.GRACE_USES),
        },
        "magic": {
            "up": found.level(metrics.MAGIC_UP),
            "errors": found.count(metrics.MAGIC_ERRORS),
            "skew_s": found.level(metrics.CLOCK_SKEW_SECONDS),
        },
        "sessions": {
            "created": found.count(metrics.SESSIONS_CREATED),
            "ended": sum(found.counts(metrics.SESSIONS_ENDED).values()),
        },
        "reloads": {
            **found.counts(metrics.RELOADS),
            "last_ok": found.level(metrics.CONFIG_LAST_RELOAD_SUCCESS),
        },
        "workers": [_worker(name, part) for name, part in sorted(overview.parts.items())],
        "restarts": found.count(metrics.WORKER_RESTARTS),
    }


class _Totals:
    """The values of a snapshot by metric and label."""

    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._counts: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._levels: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for (name, label), value in snapshot.counts.items():
            self._counts[name][label] = value
        for (name, label), value in snapshot.levels.items():
            self._levels[name][label] = value
        self._buckets: defaultdict[str, dict[str, Sequence[int]]] = defaultdict(dict)
        for (name, label), found in snapshot.distributions.items():
            self._buckets[name][label] = found.counts

    def counts(self, metric: MetricSpec) -> dict[str, float]:
        """Return the values of a counter by label."""
        return self._counts[metric.name]

    def count(self, metric: MetricSpec) -> float:
        """Return the value of a counter without a label."""
        return self._counts[metric.name].get("", 0)

    def levels(self, metric: MetricSpec) -> dict[str, float]:
        """Return the values of a gauge by label."""
        return self._levels[metric.name]

    def level(self, metric: MetricSpec) -> float | None:
        """Return the value of a gauge without a label; None where no process tells it."""
        return self._levels[metric.name].get("")

    def buckets(self, metric: HistogramSpec) -> list[int]:
        """Return how many fell into each bucket, for all labels together."""
        found = self._buckets.get(metric.name)
        if not found:
            return _no_buckets(metric)
        return list(map(sum, zip(*found.values(), strict=True)))

    def buckets_of(self, metric: HistogramSpec, label: str) -> Sequence[int]:
        """Return how many of one label fell into each bucket; empty where none did."""
        return self._buckets[metric.name].get(label, ())


def _no_buckets(metric: HistogramSpec) -> list[int]:
    return [0] * (len(metric.bounds_s) + 1)


def _by_status(found: _Totals) -> dict[str, float]:
    """Count the requests by the first digit of their status."""
    classes: Counter[str] = Counter()
    for label, count in found.counts(metrics.REQUESTS).items():
        classes[f"{_parts(label)[2][:1]}xx"] += int(count)
    return dict(classes)


def _routes(found: _Totals) -> list[Figures]:
    """Count the requests of the routes that had most, and those that failed (5xx)."""
    asked: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for label, count in found.counts(metrics.REQUESTS).items():
        route, _, status = _parts(label)
        asked[route] += int(count)
        if status.startswith("5"):
            failed[route] += int(count)
    return [
        {
            "route": route,
            "requests": count,
            "failed": failed[route],
            "gateway": found.buckets_of(metrics.GATEWAY_DURATION, route),
            "app": found.buckets_of(metrics.UPSTREAM_DURATION, route),
        }
        for route, count in asked.most_common(MAX_ROUTES)
    ]


def _parts(label: str) -> list[str]:
    """Take route, method and status apart; the name of a route may hold commas."""
    return label.rsplit(",", 2)


def _most(counts: Mapping[str, float]) -> dict[str, float]:
    return dict(Counter(counts).most_common(MAX_NAMES))


def _limits(found: _Totals) -> list[Figures]:
    limits: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for label, count in found.counts(metrics.LIMIT_DECISIONS).items():
        name, _, outcome = label.rpartition(",")
        limits[name][outcome] = count

    def refused(name: str) -> tuple[float, float]:
        return limits[name].get("refused", 0), limits[name].get("shadowed", 0)

    names = sorted(limits, key=refused, reverse=True)[:MAX_NAMES]
    return [{"limit": name, **limits[name]} for name in names]


def _upstreams(found: _Totals) -> list[Figures]:
    servers: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
    for label, is_up in sorted(found.levels(metrics.UPSTREAM_SERVER_UP).items()):
        name, _, server = label.partition(",")
        servers[name].append((server, bool(is_up)))
    busy, idle = found.levels(metrics.UPSTREAM_BUSY), found.levels(metrics.UPSTREAM_IDLE)
    circuits = found.levels(metrics.UPSTREAM_CIRCUIT_OPEN)
    retries = found.counts(metrics.UPSTREAM_RETRIES)
    ejections = found.counts(metrics.UPSTREAM_EJECTIONS)
    return [
        {
            "upstream": name,
            "busy": busy.get(name, 0),
            "idle": idle.get(name, 0),
            "retries": retries.get(name, 0),
            "ejections": ejections.get(name, 0),
            "servers": servers[name][:MAX_NAMES],
            "circuit_open": circuits.get(name),
        }
        for name in list(servers)[:MAX_NAMES]
    ]


def _worker(name: str, part: MetricsSnapshot) -> Figures:
    """Describe one process; one that is down has no gauges."""
    found = _Totals(part)
    return {
        "worker": name,
        "up": bool(part.levels),
        "cpu_s": found.count(metrics.PROCESS_CPU_SECONDS),
        "memory_bytes": found.level(metrics.PROCESS_RESIDENT_MEMORY),
        "requests": sum(_by_status(found).values()),
    }


# --- refusals ------------------------------------------------------------------------------------

_OF_A_REFUSAL: Final = (
    *("time", "id", "client", "method", "host", "path", "route", "status", "ms", "issuer"),
    *("refusal", "reason", "user_agent"),
)


def refusal_document(refusal: Mapping[str, Any]) -> Figures:
    """Return what the dashboard shows of a refusal, and how it is asked about again."""
    return {
        **{name: refusal.get(name, "") for name in _OF_A_REFUSAL},
        "question": refusal.get("question"),
    }


def newest(found: Iterable[Mapping[str, Any]], most: int) -> Sequence[Mapping[str, Any]]:
    """Return the last of the refusals of several processes, the oldest first."""
    return sorted(found, key=lambda each: str(each["time"]))[-most:]
