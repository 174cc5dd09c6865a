"""Counts of events."""

from math import inf, nextafter

import pytest

from gateway.core.limit_counts import LimitCounts
from gateway.core.reasons import ForbiddenReason
from gateway.core.record import RequestRecord
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import (
    AUTHENTICATIONS,
    BUCKETS_S,
    LIMIT_EXCESSES,
    MAGIC_DURATION,
    REFUSAL_REASONS,
    REFUSALS,
    RELOADS,
    TUNNELS,
    TUNNELS_ENDED,
)


def test_events_add_up() -> None:
    """Each event counts once, under its metric and label."""
    counters = Counters()
    counters.add(TUNNELS)
    counters.add(TUNNELS_ENDED, "expired")
    counters.add(TUNNELS_ENDED, "expired")
    assert counters.counts == {(TUNNELS, ""): 1, (TUNNELS_ENDED, "expired"): 2}


def test_a_metric_is_bound_for_a_room_that_knows_none() -> None:
    """With a label and without."""
    counters = Counters()
    counters.events(TUNNELS)()
    counters.labelled_events(RELOADS)("applied")
    assert counters.counts == {(TUNNELS, ""): 1, (RELOADS, "applied"): 1}


def test_reasons_are_counted_where_they_are_words() -> None:
    """A phrase is no label: there is no end of phrases."""
    counters = Counters()
    denied = RequestRecord(refusal="forbidden", reason=ForbiddenReason.DENIED)
    counters.request(denied, "GET", 403, 0, 0.1)
    counters.request(RequestRecord(refusal="bad_request", reason="a phrase"), "GET", 400, 0, 0.1)
    counters.request(RequestRecord(), "GET", 200, 0, 0.1)
    assert {
        (REFUSALS, "forbidden"): 1,
        (REFUSALS, "bad_request"): 1,
        (REFUSAL_REASONS, "denied"): 1,
    } == counters.outcomes()


def test_reasons_without_end_are_remembered_by_number() -> None:
    """A client that causes another phrase, or method, each time uses up no memory."""
    counters = Counters()
    for number in range(10_000):
        refused = RequestRecord(refusal="bad_request", reason=f"phrase {number}")
        counters.request(refused, "GET", 400, 0, 0.1)
    assert {(REFUSALS, "bad_request"): 10_000} == counters.outcomes()
    assert 1 == len(counters.requests)
    assert len(counters._cells) <= 4096


def test_refusals_and_proofs_of_removed_routes_stay_counted() -> None:
    """Their sums are over all routes: a counter never goes down."""
    counters = Counters()
    for route in ("old", "new"):
        proven = RequestRecord(route=route, auth_method="session")
        denied = RequestRecord(route=route, refusal="forbidden", reason=ForbiddenReason.DENIED)
        for record in (proven, denied, denied):
            counters.request(record, "GET", 200, 0, 0.1)
    before = counters.outcomes()
    counters.forget_removed({"route": frozenset({"new"}), "limit": frozenset()})
    counters.request(RequestRecord(route="old", auth_method="session"), "GET", 200, 0, 0.1)
    assert before | {(AUTHENTICATIONS, "session,proven"): 3} == counters.outcomes()
    assert 2 == before[AUTHENTICATIONS, "session,proven"]
    assert 4 == before[REFUSALS, "forbidden"] == before[REFUSAL_REASONS, "denied"]


def test_a_request_is_counted_by_route_method_and_status() -> None:
    """With its bytes, and with its time, of which the app's part is told apart."""
    counters = Counters()
    record = RequestRecord(route="app", bytes_in=7, upstream_s=0.3)
    counters.request(record, "GET", 200, 50, 0.3004)
    counters.request(RequestRecord(route="app"), "GET", 200, 60, 0.002)
    [(key, found)] = counters.requests.items()
    assert ("app", "GET", 200, "", "", "") == key
    assert (7, 110) == (found.bytes_in, found.bytes_out)
    assert [0, 0, 0, 1, 0, 1] == found.own[:6]
    assert 1 == sum(found.upstream)
    assert 0.3 == found.upstream_s
    assert 0.0024 == round(found.own_s, 9)


def test_methods_that_are_not_known_share_a_series() -> None:
    """A client may make up as many as it likes."""
    counters = Counters()
    for number in range(1000):
        counters.request(RequestRecord(route="app"), f"M{number}", 200, 1, 0.1)
    counters.request(RequestRecord(), "", 400, 1, 0.0)
    assert [("app", "other", 200), ("", "other", 400)] == [key[:3] for key in counters.requests]
    assert 1000 == sum(counters.requests["app", "other", 200, "", "", ""].own)


def test_what_a_reload_removes_is_forgotten() -> None:
    """Routes and other names; requests without a route, and what has no name, stay."""
    counters = Counters()
    for route in ("old", "new", ""):
        counters.request(RequestRecord(route=route), "GET", 200, 1, 0.1)
    counters.add(LIMIT_EXCESSES, "old")
    counters.add(LIMIT_EXCESSES, "new")
    counters.limits = {"old": LimitCounts(), "new": LimitCounts()}
    counters.add(TUNNELS)
    counters.forget_removed({"route": frozenset({"new"}), "limit": frozenset({"new"})})
    assert ["new", ""] == [route for route, *_ in counters.requests]
    assert {(LIMIT_EXCESSES, "new"): 1, (TUNNELS, ""): 1} == counters.counts
    assert ["new"] == list(counters.limits)


def test_durations_are_counted_by_bucket() -> None:
    """A bound belongs to its bucket; what is longer than all bounds has one too."""
    counters = Counters()
    add = counters.timed(MAGIC_DURATION)
    for duration_s in (0.001, 0.0011, 99.0):
        add(duration_s)
    counters.timed(MAGIC_DURATION)(99.0)
    found = counters.histograms[MAGIC_DURATION]
    assert (1, 1, 2) == (found.counts[0], found.counts[1], found.counts[-1])
    assert 198.0021 == round(found.total_s, 9)


@pytest.mark.parametrize("index", range(len(BUCKETS_S)))
def test_a_bucket_holds_what_takes_as_long_as_its_bound(index: int) -> None:
    """What takes longer by the least there is falls into the next one."""
    counters = Counters()
    counters.request(RequestRecord(), "GET", 200, 0, BUCKETS_S[index])
    counters.request(RequestRecord(), "GET", 200, 0, nextafter(BUCKETS_S[index], inf))
    assert (1, 1) == tuple(counters.durations[index : index + 2])
    assert 2 == sum(counters.durations)
