"""Metrics of several processes."""

import orjson
import pytest

from gateway.core.limit_counts import LimitCounts
from gateway.core.record import RequestRecord
from gateway.telemetry import snapshot
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import (
    ACCESS_LOG_DROPPED,
    BUCKETS_S,
    CONNECTIONS_OPEN,
    RELOADS,
    STORE_DURATION,
)
from gateway.telemetry.snapshot import MetricsSnapshot


def _one() -> MetricsSnapshot:
    counters = Counters()
    counters.request(RequestRecord(route="app", upstream_s=0.5), "GET", 204, 10, 0.502)
    counters.request(RequestRecord(refusal="no_route"), "GET", 404, 20, 99.0)
    record = RequestRecord(route="app", auth_method="session", bytes_in=3)
    counters.request(record, "POST", 200, 30, 0.001)
    counters.add(RELOADS, "applied")
    counters.timed(STORE_DURATION)(0.25)
    return snapshot.of(counters, {(ACCESS_LOG_DROPPED, ""): 2}, {(CONNECTIONS_OPEN, ""): 3})


def test_what_is_counted() -> None:
    """Requests by route, method and status, refusals by code, and what others have counted."""
    assert _one().counts == {
        ("requests", "app,GET,204"): 1,
        ("requests", "-,GET,404"): 1,
        ("requests", "app,POST,200"): 1,
        ("request_bytes", "app"): 3,
        ("request_bytes", "-"): 0,
        ("response_bytes", "app"): 40,
        ("response_bytes", "-"): 20,
        ("refusals", "no_route"): 1,
        ("authentications", "session,proven"): 1,
        ("reloads", "applied"): 1,
        ("access_log_dropped", ""): 2,
    }


def test_times_are_folded_by_route() -> None:
    """Those of all methods and statuses together; an app has a part in those that it was asked."""
    found = _one().distributions
    counts, total = found["request_duration_seconds", ""]
    assert (1, *[0] * 7, 0, 1, *[0] * 4, 1) == counts
    assert 99.503 == round(total, 6)
    counts, total = found["gateway_duration_seconds", "app"]
    assert (2, 0.003) == (sum(counts), round(total, 6))
    counts, total = found["upstream_duration_seconds", "app"]
    assert (1, 0.5) == (sum(counts), total)
    assert ("upstream_duration_seconds", "-") not in found
    assert 1 == sum(found["store_duration_seconds", ""].counts)


def test_it_travels_as_json() -> None:
    """What one process sends is what the other gets."""
    assert _one() == MetricsSnapshot.from_json(orjson.loads(orjson.dumps(_one().to_json())))


def test_processes_add_up() -> None:
    """Counts, levels, buckets and sums; of none it is nothing."""
    both = snapshot.merged([_one(), MetricsSnapshot({}, {}), _one()])
    assert 2 == both.counts["requests", "app,GET,204"]
    assert 6 == both.levels["connections_open", ""]
    durations = both.distributions["request_duration_seconds", ""]
    assert len(BUCKETS_S) + 1 == len(durations.counts)
    assert 2 == durations.counts[-1]
    assert 199.006 == round(durations.total, 6)
    assert MetricsSnapshot({}, {}) == snapshot.merged([])


@pytest.mark.parametrize(
    ("name", "values", "shown"),
    [
        pytest.param("connections_open", (1, 0, 4), 5, id="sum"),
        pytest.param("store_up", (1, 0, 1), 0, id="a-store-that-one-does-not-reach"),
        pytest.param("store_up", (1, 1), 1, id="a-store-that-all-reach"),
        pytest.param("config_last_reload_timestamp_seconds", (7, 9, 8), 9, id="latest"),
        pytest.param("process_open_fds", (30, 20), 30, id="most"),
        pytest.param("clock_skew_seconds", (2, -7, 3), -7, id="clock-behind"),
        pytest.param("clock_skew_seconds", (-2, 9), 9, id="clock-ahead"),
        pytest.param("clock_skew_seconds", (0, 0), 0, id="clocks-that-agree"),
    ],
)
def test_gauges_are_merged_as_their_meaning_demands(
    name: str, values: tuple[int, ...], shown: int
) -> None:
    """Connections add up; of several measurements of one thing the one that counts is shown."""
    several = [MetricsSnapshot({}, {(name, ""): value}) for value in values]
    assert shown == snapshot.merged(several).levels[name, ""]


def test_what_has_ended_holds_nothing() -> None:
    """Counters never go back; connections of a dead process are closed."""
    assert _one()._replace(levels={}) == snapshot.gone(_one())


def test_what_a_reload_removes_leaves_those_that_have_ended() -> None:
    """Of a route that is gone nothing is left, of the others everything."""
    names = {"route": frozenset({"other"})}
    left = snapshot.without_removed(_one(), names)
    assert 1 == left.counts["requests", "-,GET,404"]
    assert 2 == left.counts["access_log_dropped", ""]
    routes = {key[1].partition(",")[0] for key in (*left.counts, *left.distributions)}
    assert {"-", "no_route", "session", "applied", ""} == routes
    assert _one() == snapshot.without_removed(_one(), {"route": frozenset({"app"})})


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "refused"), (429, "refused"), (500, "failed"), (503, "failed"), (499, ""), (201, "")],
)
def test_an_exchange_that_opened_no_session_is_a_login(status: int, outcome: str) -> None:
    """Refused, or failed; one that the client has left is neither, and one that was ok is told."""
    counters = Counters()
    record = RequestRecord(route="gateway-sign-in")
    counters.request(record, "POST", status, 10, 0.1)
    counters.request(record, "GET", status, 10, 0.1)
    found = snapshot.of(counters, {}, {}).counts
    logins = {label: count for (name, label), count in found.items() if name == "logins"}
    assert logins == ({f"unknown,{outcome}": 1} if outcome else {})


def test_limits_and_caches_are_told_by_name() -> None:
    """A limit has a series for each outcome that there was; a cache has both from the start."""
    counters = Counters()
    counters.limits["slow"] = LimitCounts()
    counters.limits["slow"].refused = 3
    counters.cache("users").hits += 2
    assert counters.cache("users").hits == 2
    assert snapshot.of(counters, {}, {}).counts == {
        ("limit_decisions", "slow,refused"): 3,
        ("cache_lookups", "users,hit"): 2,
        ("cache_lookups", "users,miss"): 0,
    }
