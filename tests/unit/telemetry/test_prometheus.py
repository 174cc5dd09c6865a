"""The metrics page."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import METRICS
from gateway.telemetry.prometheus import page
from gateway.telemetry.snapshot import MetricsSnapshot


def _samples(snapshot: MetricsSnapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """As Prometheus reads the page."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page(snapshot).decode())
        for sample in family.samples
    }


def test_values() -> None:
    """Each value stands under its name, its label and its value."""
    counts = {("requests", "2xx"): 3, ("tunnels", ""): 4}
    samples = _samples(MetricsSnapshot(counts, {("upstream_idle", 'a"b'): 5}, (1,) * 15, 1.5))
    assert 3 == samples["gateway_requests_total", frozenset({("status", "2xx")})]
    assert 4 == samples["gateway_tunnels_total", frozenset()]
    assert 5 == samples["gateway_upstream_idle", frozenset({("upstream", 'a"b')})]


def test_a_metric_with_two_labels() -> None:
    """Each has its own name; a comma in the value of a single one is part of it."""
    counts = {("authentications", "jwt,refused"): 2, ("refusals", "a,b"): 3}
    samples = _samples(MetricsSnapshot(counts, {}))
    labels = frozenset({("method", "jwt"), ("outcome", "refused")})
    assert 2 == samples["gateway_authentications_total", labels]
    assert 3 == samples["gateway_refusals_total", frozenset({("code", "a,b")})]


def test_durations() -> None:
    """A bucket holds all that is not longer than its bound."""
    samples = _samples(MetricsSnapshot({}, {}, (1,) * 15, 1.5))
    name = "gateway_request_duration_seconds"
    assert 2 == samples[f"{name}_bucket", frozenset({("le", "0.0025")})]
    assert 15 == samples[f"{name}_bucket", frozenset({("le", "+Inf")})]
    assert (15, 1.5) == (samples[f"{name}_count", frozenset()], samples[f"{name}_sum", frozenset()])


def test_all_metrics_are_there_from_the_start() -> None:
    """A dashboard finds the name before the first event."""
    text = page(MetricsSnapshot({}, {})).decode()
    names = [metric.name for metric in METRICS]
    assert [] == [name for name in names if f"# HELP gateway_{name}" not in text]
