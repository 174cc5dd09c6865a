"""The metrics of a process at one time, on their way to the metrics page, and their sums."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import add
from typing import Any, Final, NamedTuple

from gateway.telemetry import metrics
from gateway.telemetry.counters import Counters, is_removed
from gateway.telemetry.metric_kinds import CounterSpec, GaugeSpec, MetricSpec, WorkersMerge
from gateway.telemetry.metrics import (
    CACHE_LOOKUPS,
    GATEWAY_DURATION,
    LIMIT_DECISIONS,
    LOGINS,
    NO_ROUTE,
    REQUEST_BYTES,
    REQUEST_DURATION,
    REQUESTS,
    RESPONSE_BYTES,
    UPSTREAM_DURATION,
    LimitOutcome,
)

_SIGN_IN: Final = ("gateway-sign-in", "POST")
"""Route and method of the exchange of a DID token for a session."""
_BAD_REQUEST, _CLIENT_GONE, _INTERNAL_ERROR = 400, 499, 500

Labelled = Mapping[tuple[str, str], float]
"""Values by a metric's name and the values of its labels."""


class Distribution(NamedTuple):
    """A histogram: how many fell into each bucket, and the sum of all."""

    counts: tuple[int, ...]
    total: float


class MetricsSnapshot(NamedTuple):
    """All metrics at one time."""

    counts: Labelled
    levels: Labelled
    """The gauges."""
    distributions: Mapping[tuple[str, str], Distribution] = {}
    """The histograms."""

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON, for another process."""
        counts, levels = (
            [[name, label, value] for (name, label), value in values.items()]
            for values in (self.counts, self.levels)
        )
        distributions = [
            [name, label, [each.counts, each.total]]  # orjson writes no tuples with names
            for (name, label), each in self.distributions.items()
        ]
        return {"counts": counts, "levels": levels, "distributions": distributions}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "MetricsSnapshot":
        """Read what `to_json` made."""
        counts, levels, distributions = (
            {(name, label): value for name, label, value in document[key]} for key in cls._fields
        )
        return cls(
            counts,
            levels,
            {key: Distribution(tuple(each[0]), each[1]) for key, each in distributions.items()},
        )


EMPTY = MetricsSnapshot({}, {})


def of(
    counters: Counters,
    more_counts: Mapping[tuple[CounterSpec[Any], str], float],
    levels: Mapping[tuple[GaugeSpec, str], float],
) -> MetricsSnapshot:
    """Take a snapshot of ``counters``, of what is counted elsewhere, and of the gauges."""
    return MetricsSnapshot(
        {
            **_by_name(counters.counts),
            **_by_name(counters.outcomes()),
            **_of_requests(counters),
            **_of_refused_logins(counters),
            **_of_caches(counters),
            **_of_limits(counters),
            **_by_name(more_counts),
        },
        {**_by_name(counters.levels), **_by_name(levels)},
        _distributions(counters),
    )


def _by_name(values: Mapping[tuple[Any, str], float]) -> dict[tuple[str, str], float]:
    return {(metric.name, label): value for (metric, label), value in values.items()}


def _of_requests(counters: Counters) -> Labelled:
    counts: Counter[tuple[str, str]] = Counter()
    for (route, method, status, *_), found in counters.requests.items():
        name = route or NO_ROUTE
        counts[REQUESTS.name, f"{name},{method},{status}"] += sum(found.own)
        counts[REQUEST_BYTES.name, name] += found.bytes_in
        counts[RESPONSE_BYTES.name, name] += found.bytes_out
    return dict(counts)


def _of_refused_logins(counters: Counters) -> Labelled:
    """Count the exchanges that opened no session; most are refused before they reach the page."""
    outcomes: Counter[tuple[str, str]] = Counter()
    for (route, method, status, *_), found in counters.requests.items():
        if (route, method) == _SIGN_IN and status >= _BAD_REQUEST and status != _CLIENT_GONE:
            outcome = "refused" if status < _INTERNAL_ERROR else "failed"
            outcomes[LOGINS.name, f"unknown,{outcome}"] += sum(found.own)
    return dict(outcomes)


def _of_caches(counters: Counters) -> Labelled:
    found = ((name, asked.hits, asked.misses) for name, asked in counters.caches.items())
    return {
        (CACHE_LOOKUPS.name, f"{name},{outcome}"): count
        for name, hits, misses in found
        for outcome, count in (("hit", hits), ("miss", misses))
    }


def _of_limits(counters: Counters) -> Labelled:
    outcomes: tuple[LimitOutcome, ...] = ("allowed", "refused", "shadowed")
    return {
        (LIMIT_DECISIONS.name, f"{name},{outcome}"): count
        for name, decided in counters.limits.items()
        for outcome in outcomes
        if (count := getattr(decided, outcome))
    }


def _distributions(counters: Counters) -> dict[tuple[str, str], Distribution]:
    """Fold the times of requests by route, and add what is timed elsewhere."""
    folded: dict[tuple[str, str], Distribution] = {}
    for (route, *_), found in counters.requests.items():
        name = route or NO_ROUTE
        _fold(folded, (GATEWAY_DURATION.name, name), found.own, found.own_s)
        if found.upstream_s:
            _fold(folded, (UPSTREAM_DURATION.name, name), found.upstream, found.upstream_s)
    _fold(folded, (REQUEST_DURATION.name, ""), counters.durations, counters.total_s)
    for metric, timed in counters.histograms.items():
        _fold(folded, (metric.name, ""), timed.counts, timed.total_s)
    return folded


# --- several processes -------------------------------------------------------------------------

_MERGED: Final[Mapping[WorkersMerge, Callable[[float, float], float]]] = {
    "sum": add,
    "max": max,
    "min": min,
    "farthest": lambda one, other: max(one, other, key=abs),
}


def merged(snapshots: Sequence[MetricsSnapshot]) -> MetricsSnapshot:
    """Put the snapshots of several processes together: counters are added up."""
    counts: dict[tuple[str, str], float] = {}
    levels: dict[tuple[str, str], float] = {}
    distributions: dict[tuple[str, str], Distribution] = {}
    how = {
        metric.name: _MERGED[metric.merge]
        for metric in metrics.METRICS
        if isinstance(metric, GaugeSpec)
    }
    for snapshot in snapshots:
        for key, count in snapshot.counts.items():
            counts[key] = counts.get(key, 0) + count
        for key, level in snapshot.levels.items():
            known = levels.get(key)
            levels[key] = level if known is None else how[key[0]](known, level)
        for key, (found, total) in snapshot.distributions.items():
            _fold(distributions, key, found, total)
    return MetricsSnapshot(counts, levels, distributions)


def _fold(
    into: dict[tuple[str, str], Distribution],
    key: tuple[str, str],
    counts: Sequence[int],
    total: float,
) -> None:
    """Add a histogram to the one under ``key``; both have the same buckets."""
    known = into.get(key)
    if known is None:
        into[key] = Distribution(tuple(counts), total)
    else:
        into[key] = Distribution(tuple(map(add, known.counts, counts)), known.total + total)


def gone(snapshot: MetricsSnapshot) -> MetricsSnapshot:
    """Keep the counters of a process that has ended, and drop its gauges."""
    return snapshot._replace(levels={})


def without_removed(
    snapshot: MetricsSnapshot, names: Mapping[str, frozenset[str]]
) -> MetricsSnapshot:
    """Drop what is counted by names that the config has no more; see `Counters`."""
    by_name: dict[str, MetricSpec] = {metric.name: metric for metric in metrics.METRICS}

    def stays(key: tuple[str, str]) -> bool:
        return key[0] not in by_name or not is_removed(by_name[key[0]], key[1], names)

    return MetricsSnapshot(
        {key: count for key, count in snapshot.counts.items() if stays(key)},
        {key: level for key, level in snapshot.levels.items() if stays(key)},
        {key: each for key, each in snapshot.distributions.items() if stays(key)},
    )
