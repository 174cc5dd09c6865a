"""Metrics of several processes."""

import json

import pytest

from gateway.telemetry import snapshot
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import ACCESS_LOG_DROPPED, BUCKETS_S, CONNECTIONS_OPEN, RELOADS
from gateway.telemetry.snapshot import MetricsSnapshot


def _one() -> MetricsSnapshot:
    counters = Counters()
    counters.request(204, "", 0.002)
    counters.request(404, "no_route", 99.0)
    counters.request(200, "", 0.001, "", "session")
    counters.add(RELOADS, "applied")
    return snapshot.of(counters, {(ACCESS_LOG_DROPPED, ""): 2}, {(CONNECTIONS_OPEN, ""): 3})


def test_what_is_counted() -> None:
    """Requests by class, refusals by code, durations by bucket, and what others have counted."""
    one = _one()
    assert one.counts == {
        ("requests", "2xx"): 2,
        ("requests", "4xx"): 1,
        ("refusals", "no_route"): 1,
        ("authentications", "session,proven"): 1,
        ("reloads", "applied"): 1,
        ("access_log_dropped", ""): 2,
    }
    assert (1, 1, *[0] * (len(BUCKETS_S) - 2), 1) == one.durations
    assert 99.003 == one.total_s


def test_it_travels_as_json() -> None:
    """What one process sends is what the other gets."""
    assert _one() == MetricsSnapshot.from_json(json.loads(json.dumps(_one().to_json())))


def test_processes_add_up() -> None:
    """Counts, levels, buckets and sums; of none it is nothing."""
    both = snapshot.merged([_one(), MetricsSnapshot({}, {}), _one()])
    assert 4 == both.counts["requests", "2xx"]
    assert 6 == both.levels["connections_open", ""]
    assert 2 == both.durations[-1]
    assert 198.006 == both.total_s
    assert MetricsSnapshot({}, {}) == snapshot.merged([])


@pytest.mark.parametrize(("values", "shown"), [((2, -7, 3), -7), ((-2, 9), 9), ((0, 0), 0)])
def test_clocks_do_not_add_up(values: tuple[int, ...], shown: int) -> None:
    """Of several measurements of one thing the worst is shown, on whichever side it is."""
    name = "clock_skew_seconds", ""
    assert (
        shown
        == snapshot.merged([MetricsSnapshot({}, {name: value}) for value in values]).levels[name]
    )


def test_what_has_ended_holds_nothing() -> None:
    """Counters never go back; connections of a dead process are closed."""
    assert _one()._replace(levels={}) == snapshot.gone(_one())
