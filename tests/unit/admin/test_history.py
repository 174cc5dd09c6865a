"""What the dashboard remembers."""

from typing import Any

import pytest

from gateway.admin.figures import BOUNDS, Overview, figures
from gateway.admin.history import KEPT_S, STEP_S, History, quantile
from gateway.admin.status import Status
from gateway.telemetry import metrics
from gateway.telemetry.snapshot import Distribution, MetricsSnapshot

STATUS = Status(True, "ok", "ok")


def _figures(time_s: float, requests: int, refused: int = 0) -> dict[str, Any]:
    counts: dict[tuple[str, str], float] = {
        (metrics.REQUESTS.name, "a,GET,200"): requests,
        (metrics.REQUESTS.name, "a,GET,503"): refused,
        (metrics.REFUSALS.name, "upstream_unavailable"): refused,
        (metrics.LIMIT_DECISIONS.name, "few,allowed"): requests,
        (metrics.LIMIT_DECISIONS.name, "few,refused"): refused,
        (metrics.GRACE_USES.name, ""): refused,
    }
    buckets = [0] * (len(BOUNDS["total"]) + 1)
    buckets[3] = requests
    name = (metrics.REQUEST_DURATION.name, "")
    whole = MetricsSnapshot(counts, {}, distributions={name: Distribution(tuple(buckets), 1.0)})
    return figures(Overview(whole, {}), STATUS, time_s)


def _points(history: History) -> list[dict[str, Any]]:
    told = history.document()
    return [dict(zip(told["names"], point, strict=True)) for point in told["points"]]


def test_a_point_tells_the_rates_since_the_one_before() -> None:
    """Readings that come more often are put together: one point for five seconds."""
    history = History()
    for second in range(11):
        history.add(_figures(100.0 + second, 20 * second, 2 * second))
    one, two = _points(history)
    assert (105.0, 20.0, 2.0, 2.0) == (
        one["time_s"],
        one["answered_2xx"],
        one["answered_5xx"],
        one["refusals"],
    )
    low, high = BOUNDS["total"][2:4]
    assert two["p50_s"] == pytest.approx((low + high) / 2)
    assert one["app_p95_s"] is None


def test_the_last_fifteen_minutes_are_kept() -> None:
    """However long the gateway runs."""
    history = History()
    for step in range(1000):
        history.add(_figures(step * STEP_S, step))
    points = _points(history)
    assert (KEPT_S / STEP_S, 999 * STEP_S) == (len(points), points[-1]["time_s"])
    assert 12 <= history.minute().requests <= 13


def test_totals_that_begin_anew_make_no_negative_rate() -> None:
    """The next reading is compared with the first of the new ones."""
    history = History()
    for time_s, requests in ((0.0, 900), (5.0, 1000), (10.0, 3), (15.0, 13)):
        history.add(_figures(time_s, requests))
    assert [20.0, 2.0] == [point["answered_2xx"] for point in _points(history)]


def test_a_clock_that_is_set_back_leaves_no_points_of_the_future() -> None:
    """Each point is later than the one before, as plots need it."""
    history = History()
    for time_s, requests in ((100.0, 0), (105.0, 10), (110.0, 20), (106.0, 30), (111.0, 40)):
        history.add(_figures(time_s, requests))
    assert [105.0, 111.0] == [point["time_s"] for point in _points(history)]


def test_a_route_that_a_reload_has_removed_makes_no_negative_rate() -> None:
    """Its requests go with it: other totals may have grown by more."""
    history = History()
    history.add(_figures(0.0, 100, 50))
    history.add(_figures(5.0, 200, 0))
    history.add(_figures(10.0, 210, 0))
    assert [(2.0, 0.0)] == [
        (point["answered_2xx"], point["answered_5xx"]) for point in _points(history)
    ]


def test_the_last_minute_is_known_at_once() -> None:
    """Also where readings are seldom, as with many routes."""
    history = History()
    assert 0 == history.minute().requests
    history.add(_figures(0.0, 100, 5))
    history.add(_figures(100.0, 200, 15))
    history.add(_figures(101.0, 210, 25))
    minute = history.minute()
    assert (130, 20, 20, 20, (130, 20)) == (
        minute.requests,
        minute.failed,
        minute.refused,
        minute.grace,
        minute.limits["few"],
    )


def test_the_last_minute_is_not_that_of_long_ago() -> None:
    """Readings that are older are forgotten; one stays to compare with."""
    history = History()
    for time_s, requests in ((0.0, 100), (100.0, 200), (200.0, 300)):
        history.add(_figures(time_s, requests))
    assert 100 == history.minute().requests


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([0, 0, 0], 0.5, None),
        ([10, 0, 0], 0.5, 0.5),
        ([10, 10, 0], 0.75, 1.5),
        ([0, 0, 5], 0.5, 2.0),
    ],
)
def test_quantiles(counts: list[int], share: float, expected: float | None) -> None:
    """Spread evenly within a bucket; above the last bound, that bound."""
    assert expected == quantile(counts, (1.0, 2.0), share)
