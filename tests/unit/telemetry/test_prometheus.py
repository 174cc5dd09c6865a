"""The metrics page."""

import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import METRICS
from gateway.telemetry.prometheus import page
from gateway.telemetry.snapshot import Distribution, MetricsSnapshot


def _samples(snapshot: MetricsSnapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """As Prometheus reads the page."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page(snapshot).decode())
        for sample in family.samples
    }


def test_values() -> None:
    """Each value stands under its name, its label and its value."""
    counts = {("refusals", "no_route"): 3, ("tunnels", ""): 4}
    samples = _samples(MetricsSnapshot(counts, {("upstream_idle", 'a"b'): 5}))
    assert 3 == samples["gateway_refusals_total", frozenset({("code", "no_route")})]
    assert 4 == samples["gateway_tunnels_total", frozenset()]
    assert 5 == samples["gateway_upstream_idle", frozenset({("upstream", 'a"b')})]


def test_a_metric_with_several_labels() -> None:
    """Each has its own name; a comma in the value of the last one is part of it."""
    counts = {("authentications", "jwt,refused"): 2, ("refusals", "a,b"): 3}
    counts["requests", "app,GET,204"] = 4
    samples = _samples(MetricsSnapshot(counts, {}))
    labels = frozenset({("method", "jwt"), ("outcome", "refused")})
    assert 2 == samples["gateway_authentications_total", labels]
    assert 3 == samples["gateway_refusals_total", frozenset({("code", "a,b")})]
    labels = frozenset({("route", "app"), ("method", "GET"), ("status", "204")})
    assert 4 == samples["gateway_requests_total", labels]


def test_durations() -> None:
    """A bucket holds all that is not longer than its bound."""
    found = {("request_duration_seconds", ""): Distribution((1,) * 15, 1.5)}
    samples = _samples(MetricsSnapshot({}, {}, found))
    name = "gateway_request_duration_seconds"
    assert 2 == samples[f"{name}_bucket", frozenset({("le", "0.0025")})]
    assert 15 == samples[f"{name}_bucket", frozenset({("le", "+Inf")})]
    assert (15, 1.5) == (samples[f"{name}_count", frozenset()], samples[f"{name}_sum", frozenset()])


def test_durations_by_route() -> None:
    """Each route has a histogram of its own, over the bounds of its metric."""
    found = {("gateway_duration_seconds", route): Distribution((1,) * 15, 2.0) for route in "ab"}
    samples = _samples(MetricsSnapshot({}, {}, found))
    name = "gateway_gateway_duration_seconds"
    assert 2 == samples[f"{name}_bucket", frozenset({("route", "b"), ("le", "0.0001")})]
    assert 2.0 == samples[f"{name}_sum", frozenset({("route", "a")})]


def test_all_metrics_are_there_from_the_start() -> None:
    """A dashboard finds the name before the first event; what is not known has no value."""
    text = page(MetricsSnapshot({}, {})).decode()
    assert [] == [m.name for m in METRICS if f"# HELP {m.exported} {m.help}" not in text]
    assert "gateway_tunnels_total 0.0" in text.splitlines()
    assert [] == [line for line in text.splitlines() if line.startswith("gateway_store_up")]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a\\nb", "ä, {b}"])
def test_any_name_stays_what_it_is(name: str) -> None:
    """A path of a file or a server may hold whatever a file system takes."""
    samples = _samples(MetricsSnapshot({}, {("upstream_server_up", f"app,{name}"): 1}))
    labels = frozenset({("upstream", "app"), ("server", name)})
    assert {("gateway_upstream_server_up", labels)} == {
        key for key in samples if key[0] == "gateway_upstream_server_up"
    }


def test_many_routes_make_no_slow_page() -> None:
    """A thousand routes are 38 000 lines: each takes a microsecond, not ten."""
    found = {
        (name, f"route-{number}"): Distribution((1,) * 15, 2.0)
        for number in range(1000)
        for name in ("gateway_duration_seconds", "upstream_duration_seconds")
    }
    began_s = time.thread_time()
    assert 34_000 < page(MetricsSnapshot({}, {}, found)).count(b"\n")
    assert time.thread_time() - began_s < 0.4
