"""Counts of events in this process, as plain numbers: counting a request costs about 1 µs."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, overload

from gateway.core.limit_counts import LimitCounts
from gateway.core.method import KNOWN_METHODS
from gateway.core.reasons import Reason
from gateway.core.record import RequestRecord
from gateway.telemetry.metric_kinds import CounterSpec, GaugeSpec, LabelT, MetricSpec, NoLabel
from gateway.telemetry.metrics import (
    AUTHENTICATIONS,
    BUCKETS_S,
    CONFIG_NAMES,
    GATEWAY_DURATION,
    NO_ROUTE,
    OTHER_METHOD,
    REFUSAL_REASONS,
    REFUSALS,
    CacheName,
    HistogramSpec,
)
from gateway.util.hit_count import HitCount

_OWN_BOUNDS_S = GATEWAY_DURATION.bounds_s
_FIRST_BOUND_S = BUCKETS_S[0]

_MAX_CELLS = 4096
_MAX_REASON = 256

RequestKey = tuple[str, str, int, str, str, str]
"""Route, method, status, how the caller was authenticated, code and reason of the refusal."""


class CountEvent(Protocol):
    """Counts one event; see `Counters.add`."""

    def __call__(self, metric: CounterSpec[LabelT], label: LabelT, /) -> object: ...


class Durations:
    """How often a duration fell into each bucket, and the sum of all."""

    __slots__ = ("bounds_s", "counts", "total_s")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.total_s = 0.0

    def add(self, duration_s: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds_s, duration_s)] += 1
        self.total_s += duration_s


class RequestCounts:
    """
    Counts of the requests that have a `RequestKey` in common.

    How many there were is the sum of ``own``, to which each request adds.
    """

    __slots__ = ("bytes_in", "bytes_out", "own", "own_s", "upstream", "upstream_s")

    def __init__(self) -> None:
        self.bytes_in = self.bytes_out = 0
        self.own = [0] * (len(_OWN_BOUNDS_S) + 1)
        """By the time that the gateway and the client took."""
        self.own_s = 0.0
        self.upstream = [0] * (len(BUCKETS_S) + 1)
        """By the time until the head of the app's answer; of those that an app was asked for."""
        self.upstream_s = 0.0


class Counters:
    """Counts events; read by the metrics page."""

    __slots__ = (
        "_cells",
        "_outcomes_removed",
        "caches",
        "counts",
        "durations",
        "histograms",
        "levels",
        "limits",
        "requests",
        "total_s",
    )

    def __init__(self) -> None:
        self.counts: Counter[tuple[CounterSpec[Any], str]] = Counter()
        """By metric and label value; what is counted of each request is in ``requests``."""
        self.requests: dict[RequestKey, RequestCounts] = {}
        self._cells: dict[RequestKey, RequestCounts] = {}
        """The same by what requests say; many methods and reasons are counted as one."""
        self._outcomes_removed: Counter[tuple[CounterSpec[Any], str]] = Counter()
        """What `outcomes` counts of routes that are gone."""
        self.durations = [0] * (len(BUCKETS_S) + 1)
        """Of all requests; their sum is the sum of the parts in ``requests``."""
        self.total_s = 0.0
        self.histograms: dict[HistogramSpec, Durations] = {}
        self.caches: dict[CacheName, HitCount] = {}
        self.limits: dict[str, LimitCounts] = {}
        """By the name of the limit."""
        self.levels: dict[tuple[GaugeSpec, str], float] = {}
        """Gauges that are set as things happen; most are read as the page is asked for."""

    @overload
    def add(self, metric: CounterSpec[NoLabel], /) -> None: ...

    @overload
    def add(self, metric: CounterSpec[LabelT], label: LabelT, /) -> None: ...

    def add(self, metric: CounterSpec[Any], label: str = "", /) -> None:
        """Count one event."""
        self.counts[metric, label] += 1

    def events(self, metric: CounterSpec[NoLabel]) -> Callable[[], None]:
        """Bind a metric without a label, for a room that knows no metrics."""
        return partial(self.add, metric)

    def labelled_events(self, metric: CounterSpec[LabelT]) -> Callable[[LabelT], None]:
        """Bind a metric with a label, for a room that knows no metrics."""
        return partial(self.add, metric)

    def timed(self, metric: HistogramSpec) -> Callable[[float], None]:
        """Bind a histogram, which takes durations in seconds."""
        found = self.histograms.get(metric)
        if found is None:
            found = self.histograms[metric] = Durations(metric.bounds_s)
        return found.add

    def cache(self, name: CacheName) -> HitCount:
        """Return the counts of a cache, which outlive it: a reload begins with an empty one."""
        return self.caches.setdefault(name, HitCount())

    def request(
        self, record: RequestRecord, method: str, status: int, bytes_out: int, served_s: float
    ) -> None:
        """Count one request, by its route, method and status."""
        key = record.route, method, status, record.auth_method, record.refusal, record.reason
        counts = self._cells.get(key)
        if counts is None:
            counts = self._counts_of(key)
        if bytes_in := record.bytes_in:
            counts.bytes_in += bytes_in
        counts.bytes_out += bytes_out
        own_s = served_s
        if upstream_s := record.upstream_s:
            own_s -= upstream_s
            counts.upstream[bisect_left(BUCKETS_S, upstream_s)] += 1
            counts.upstream_s += upstream_s
        counts.own[bisect_left(_OWN_BOUNDS_S, own_s)] += 1
        counts.own_s += own_s
        # Most take less than the first bound: to compare takes a third of a search.
        self.durations[bisect_left(BUCKETS_S, served_s) if served_s > _FIRST_BOUND_S else 0] += 1
        self.total_s += served_s

    def _counts_of(self, key: RequestKey) -> RequestCounts:
        """Return the counts of a new series; methods that are not known share one."""
        route, method, status, proof, refusal, reason = key
        known = method if method in KNOWN_METHODS else OTHER_METHOD
        word = reason._value_ if isinstance(reason, Reason) else ""  # other reasons are free text
        one = route, known, status, str(proof), refusal, word
        counts = self.requests.setdefault(one, RequestCounts())
        if known is method and len(reason) <= _MAX_REASON:
            if len(self._cells) >= _MAX_CELLS:
                self._cells.clear()
            self._cells[key] = counts
        return counts

    def outcomes(self) -> Counter[tuple[CounterSpec[Any], str]]:
        """Count refusals by code and reason, and proofs by kind, in all that was counted."""
        found = Counter(self._outcomes_removed)
        for key, counts in self.requests.items():
            found.update(_outcomes(key, sum(counts.own)))
        return found

    def forget_removed(self, names: Mapping[str, frozenset[str]]) -> None:
        """
        Forget what is counted by names that the config does not have any more.

        ``names`` are all that there are, by the label that holds them: see `CONFIG_NAMES`.
        """
        routes = names["route"]
        self._cells.clear()
        for key in [key for key in self.requests if key[0] and key[0] not in routes]:
            self._outcomes_removed.update(_outcomes(key, sum(self.requests.pop(key).own)))
        for entry in [entry for entry in self.counts if is_removed(*entry, names)]:
            del self.counts[entry]
        for limit in self.limits.keys() - names["limit"]:
            del self.limits[limit]


def _outcomes(key: RequestKey, number: int) -> dict[tuple[CounterSpec[Any], str], int]:
    """Return what ``number`` requests count as, beside their series."""
    _, _, _, proof, refusal, word = key
    named = (
        (AUTHENTICATIONS, f"{proof},proven" if proof else ""),
        (REFUSALS, refusal),
        (REFUSAL_REASONS, word),
    )
    return {(metric, label): number for metric, label in named if label}


def is_removed(metric: MetricSpec, label: str, names: Mapping[str, frozenset[str]]) -> bool:
    """Whether the first value in ``label`` is a name that the config has no more."""
    kind = metric.labels[0] if metric.labels else ""
    if kind not in CONFIG_NAMES:
        return False
    name = metric.label_values(label)[0]
    return name != NO_ROUTE and name not in names.get(kind, ())
