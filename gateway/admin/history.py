"""
The memory of the dashboard: the last fifteen minutes, as points of its plots.

Each point is the difference of two readings. So the plots are full when a page opens.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.admin.figures import BOUNDS, Figures

STEP_S: Final = 5.0
KEPT_S: Final = 900.0
MINUTE_S: Final = 60.0
EARLY_S: Final = 0.5
"""Tolerance for a reading that comes before its time."""


class Point(NamedTuple):
    """Rates a second and percentiles in seconds, of the time since the point before."""

    time_s: float
    answered_2xx: float
    answered_3xx: float
    answered_4xx: float
    answered_5xx: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    gateway_p95_s: float | None
    app_p95_s: float | None
    refusals: float


class Minute(NamedTuple):
    """Totals of the last minute."""

    requests: float = 0
    failed: float = 0
    """Answered with 5xx."""
    refused: float = 0
    grace: float = 0
    """Requests that were admitted by a cached session while the store was unavailable."""
    gateway_p95_s: float = 0
    app_p95_s: float = 0
    limits: Mapping[str, tuple[float, float]] = {}
    """By limit: requests that it has decided upon, and those of them that it has refused."""


class _Sums(NamedTuple):
    """Totals of one reading."""

    time_s: float
    requests: Mapping[str, float]
    refusals: float
    grace: float
    durations: Mapping[str, Sequence[int]]
    limits: Mapping[str, tuple[float, float]]


class History:
    """A bounded memory: 180 points, and the totals of a minute."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque(maxlen=int(KEPT_S / STEP_S))
        self._sums: deque[_Sums] = deque(maxlen=int(MINUTE_S / STEP_S) + 1)
        self._latest: _Sums | None = None

    def add(self, found: Figures) -> None:
        """Take the figures of one reading; before the step is over, they make no point."""
        now = self._latest = _sums(found)
        before = self._sums[-1] if self._sums else None
        if before is not None and not _is_after(before, now):
            self._sums.clear()  # the totals begin anew
            before = None
            while self._points and self._points[-1].time_s > now.time_s:
                self._points.pop()  # the clock was set back: plots go from left to right
        if before is not None and now.time_s - before.time_s < STEP_S - EARLY_S:
            return
        self._sums.append(now)
        if before is not None:
            self._points.append(_point(before, now))
            while self._sums[0].time_s < min(now.time_s - MINUTE_S - STEP_S, before.time_s):
                self._sums.popleft()  # one that is old enough to compare with stays

    def document(self) -> Figures:
        """Return the points as lists of values, and what the values are."""
        return {"names": Point._fields, "points": [tuple(point) for point in self._points]}

    def minute(self) -> Minute:
        """Return what has happened within the last minute, as far as that is known."""
        if not self._sums or self._latest is None:
            return Minute()
        first, last = self._sums[0], self._latest
        limits = {}
        for name, (decided, refused) in last.limits.items():
            decided_before, refused_before = first.limits.get(name, (0, 0))
            limits[name] = decided - decided_before, refused - refused_before
        return Minute(
            sum(last.requests.values()) - sum(first.requests.values()),
            last.requests.get("5xx", 0) - first.requests.get("5xx", 0),
            last.refusals - first.refusals,
            last.grace - first.grace,
            _percentile(first, last, "gateway", 0.95) or 0,
            _percentile(first, last, "app", 0.95) or 0,
            limits,
        )


def _sums(found: Figures) -> _Sums:
    store: Mapping[str, Any] = found["store"]
    return _Sums(
        found["time_s"],
        found["requests"],
        sum(found["refusals"].values()),
        store["grace"],
        found["durations"],
        {each["limit"]: _decided(each) for each in found["limits"]},
    )


def _decided(limit: Mapping[str, Any]) -> tuple[float, float]:
    refused = limit.get("refused", 0)
    return limit.get("allowed", 0) + limit.get("shadowed", 0) + refused, refused


def _is_after(before: _Sums, now: _Sums) -> bool:
    grows = all(now.requests.get(name, 0) >= count for name, count in before.requests.items())
    return grows and now.time_s > before.time_s


def _point(before: _Sums, now: _Sums) -> Point:
    seconds = now.time_s - before.time_s

    def rate(status: str) -> float:
        return round((now.requests.get(status, 0) - before.requests.get(status, 0)) / seconds, 3)

    return Point(
        now.time_s,
        rate("2xx"),
        rate("3xx"),
        rate("4xx"),
        rate("5xx"),
        _percentile(before, now, "total", 0.5),
        _percentile(before, now, "total", 0.95),
        _percentile(before, now, "total", 0.99),
        _percentile(before, now, "gateway", 0.95),
        _percentile(before, now, "app", 0.95),
        round((now.refusals - before.refusals) / seconds, 3),
    )


def _percentile(before: _Sums, now: _Sums, name: str, share: float) -> float | None:
    pairs = zip(now.durations[name], before.durations[name], strict=True)
    return quantile([new - old for new, old in pairs], BOUNDS[name], share)


def quantile(counts: Sequence[int], bounds_s: Sequence[float], share: float) -> float | None:
    """
    Return the duration below which ``share`` of the counts lie; None where there are none.

    Within a bucket values are taken to be spread evenly, as Prometheus does.
    """
    left = share * sum(counts)
    if left <= 0:
        return None
    low = 0.0
    for count, high in zip(counts, bounds_s, strict=False):
        if count and left <= count:
            return round(low + (high - low) * left / count, 6)
        left -= count
        low = high
    return bounds_s[-1]
