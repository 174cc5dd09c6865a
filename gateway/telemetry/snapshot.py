"""The metrics of a process at one time, on their way to the metrics page, and their sums."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import (
    AUTHENTICATIONS,
    METRICS,
    REQUESTS,
    CounterSpec,
    GaugeSpec,
)

Labelled = Mapping[tuple[str, str], int]
"""Values by a metric's name and the label's value."""


class MetricsSnapshot(NamedTuple):
    """All metrics at one time."""

    counts: Labelled
    levels: Labelled
    """The gauges."""
    durations: tuple[int, ...] = ()
    """Requests in each of `BUCKETS_S`, and in the bucket of longer ones."""
    total_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON, for another process."""
        counts, levels = (
            [[name, label, count] for (name, label), count in values.items()]
            for values in (self.counts, self.levels)
        )
        return {
            "counts": counts,
            "levels": levels,
            "durations": self.durations,
            "total_s": self.total_s,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "MetricsSnapshot":
        """Read what `to_json` made."""
        counts, levels = (
            {(name, label): count for name, label, count in document[key]}
            for key in ("counts", "levels")
        )
        return cls(counts, levels, tuple(document["durations"]), document["total_s"])


EMPTY = MetricsSnapshot({}, {})


def of(
    counters: Counters,
    more_counts: Mapping[tuple[CounterSpec[Any], str], int],
    levels: Mapping[tuple[GaugeSpec, str], int],
) -> MetricsSnapshot:
    """Take a snapshot of ``counters``, of what is counted elsewhere, and of the gauges."""
    requests = {
        (REQUESTS.name, f"{number}xx"): count
        for number, count in enumerate(counters.by_class)
        if count
    }
    authenticated = {
        (AUTHENTICATIONS.name, f"{method},proven"): count
        for method, count in counters.by_method.items()
    }
    counts = {**_by_name(counters.counts), **requests, **authenticated, **_by_name(more_counts)}
    return MetricsSnapshot(counts, _by_name(levels), tuple(counters.durations), counters.total_s)


def _by_name(
    values: Mapping[tuple[CounterSpec[Any], str], int] | Mapping[tuple[GaugeSpec, str], int],
) -> dict[tuple[str, str], int]:
    return {(metric.name, label): value for (metric, label), value in values.items()}


def merged(snapshots: Iterable[MetricsSnapshot]) -> MetricsSnapshot:
    """Add the snapshots of several processes up."""
    max_of_workers = {
        metric.name for metric in METRICS if isinstance(metric, GaugeSpec) and metric.max_of_workers
    }
    counts: Counter[tuple[str, str]] = Counter()
    levels: Counter[tuple[str, str]] = Counter()
    durations: tuple[int, ...] = ()
    total_s = 0.0
    for snapshot in snapshots:
        counts.update(snapshot.counts)
        for (name, label), level in snapshot.levels.items():
            known = levels[name, label]
            levels[name, label] = (
                max(known, level, key=abs) if name in max_of_workers else known + level
            )
        pairs = zip_longest(durations, snapshot.durations, fillvalue=0)
        durations = tuple(one + other for one, other in pairs)
        total_s += snapshot.total_s
    return MetricsSnapshot(counts, levels, durations, total_s)


def gone(snapshot: MetricsSnapshot) -> MetricsSnapshot:
    """Keep the counters of a process that has ended, and drop its gauges."""
    return snapshot._replace(levels={})
