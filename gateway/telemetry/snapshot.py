"""What a process has counted, on its way to the metrics page; figures of several add up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from gateway.telemetry.counters import LEVELS, Tally

Labelled = Mapping[tuple[str, str], int]
"""By figure's name and label's value."""


class Snapshot(NamedTuple):
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
    def from_json(cls, said: Mapping[str, Any]) -> "Snapshot":
        """What `to_json` made."""
        counts, levels = (
            {(name, label): count for name, label, count in said[key]}
            for key in ("counts", "levels")
        )
        return cls(counts, levels, tuple(said["durations"]), said["total_s"])


EMPTY = Snapshot({}, {})

_EXTREMES = frozenset(figure.name for figure in LEVELS if figure.is_extreme)


def of(tally: Tally, more_counts: Labelled, levels: Labelled) -> Snapshot:
    """What ``tally`` holds now, and what is counted elsewhere."""
    requests = {
        ("requests", f"{number}xx"): count for number, count in enumerate(tally.by_class) if count
    }
    proven = {
        ("authentications", f"{method},proven"): count for method, count in tally.by_method.items()
    }
    counts = {**tally.counts, **requests, **proven, **more_counts}
    return Snapshot(counts, levels, tuple(tally.durations), tally.total_s)


def add_up(snapshots: Iterable[Snapshot]) -> Snapshot:
    """All processes as one."""
    counts: Counter[tuple[str, str]] = Counter()
    levels: Counter[tuple[str, str]] = Counter()
    durations: tuple[int, ...] = ()
    total_s = 0.0
    for snapshot in snapshots:
        counts.update(snapshot.counts)
        for (name, label), level in snapshot.levels.items():
            known = levels[name, label]
            levels[name, label] = max(known, level, key=abs) if name in _EXTREMES else known + level
        pairs = zip_longest(durations, snapshot.durations, fillvalue=0)
        durations = tuple(one + other for one, other in pairs)
        total_s += snapshot.total_s
    return Snapshot(counts, levels, durations, total_s)


def gone(snapshot: Snapshot) -> Snapshot:
    """What remains of a process that has ended: what it counted stays, what it held does not."""
    return snapshot._replace(levels={})
