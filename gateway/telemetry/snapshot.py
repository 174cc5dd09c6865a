"""What a process has counted, on its way to the metrics page; figures of several add up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from gateway.telemetry.counters import GAUGES, Counters

Labelled = Mapping[tuple[str, str], int]
"""By figure's name and label's value."""


class MetricsSnapshot(NamedTuple):
    """All figures at one time."""

    counts: Labelled
    levels: Labelled
    durations: tuple[int, ...] = ()
    """Requests in each of `BUCKETS_S`, and in the one for all that is longer."""
    total_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        counts, levels = (
            [[name, label, count] for (name, label), count in figures.items()]
            for figures in (self.counts, self.levels)
        )
        return {
            "counts": counts,
            "levels": levels,
            "durations": self.durations,
            "total_s": self.total_s,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "MetricsSnapshot":
        """What `to_json` made."""
        counts, levels = (
            {(name, label): count for name, label, count in said[key]}
            for key in ("counts", "levels")
        )
        return cls(counts, levels, tuple(said["durations"]), said["total_s"])


EMPTY = MetricsSnapshot({}, {})

_MAX_OF_WORKERS = frozenset(figure.name for figure in GAUGES if figure.max_of_workers)


def of(counters: Counters, more_counts: Labelled, levels: Labelled) -> MetricsSnapshot:
    """What ``counters`` holds now, and what is counted elsewhere."""
    requests = {
        ("requests", f"{number}xx"): count
        for number, count in enumerate(counters.by_class)
        if count
    }
    proven = {
        ("authentications", f"{method},proven"): count
        for method, count in counters.by_method.items()
    }
    counts = {**counters.counts, **requests, **proven, **more_counts}
    return MetricsSnapshot(counts, levels, tuple(counters.durations), counters.total_s)


def merged(snapshots: Iterable[MetricsSnapshot]) -> MetricsSnapshot:
    """All processes as one."""
    counts: Counter[tuple[str, str]] = Counter()
    levels: Counter[tuple[str, str]] = Counter()
    durations: tuple[int, ...] = ()
    total_s = 0.0
    for snapshot in snapshots:
        counts.update(snapshot.counts)
        for (name, label), level in snapshot.levels.items():
            known = levels[name, label]
            levels[name, label] = (
                max(known, level, key=abs) if name in _MAX_OF_WORKERS else known + level
            )
        pairs = zip_longest(durations, snapshot.durations, fillvalue=0)
        durations = tuple(one + other for one, other in pairs)
        total_s += snapshot.total_s
    return MetricsSnapshot(counts, levels, durations, total_s)


def gone(snapshot: MetricsSnapshot) -> MetricsSnapshot:
    """What remains of a process that has ended: what it counted stays, what it held does not."""
    return snapshot._replace(levels={})
