"""The figures as Prometheus reads them."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.telemetry.counters import (
    BUCKETS_S,
    COUNTERS,
    DURATION,
    GAUGES,
    MetricSpec,
)
from gateway.telemetry.snapshot import Labelled, MetricsSnapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "gateway_"


def page(snapshot: MetricsSnapshot) -> bytes:
    """The text of ``/metrics``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricsCollector(snapshot))
    return generate_latest(registry)


class _MetricsCollector(Collector):
    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        yield from _families(CounterMetricFamily, COUNTERS, self._snapshot.counts)
        yield from _families(GaugeMetricFamily, GAUGES, self._snapshot.levels)
        yield self._durations()

    def _durations(self) -> Metric:
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        counts = self._snapshot.durations or (0,) * len(bounds)
        family = HistogramMetricFamily(_PREFIX + DURATION.name, DURATION.help)
        buckets = [
            (bound, float(count)) for bound, count in zip(bounds, accumulate(counts), strict=True)
        ]
        family.add_metric([], buckets, self._snapshot.total_s)
        return family


def _families(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    figures: Iterable[MetricSpec],
    values: Labelled,
) -> Iterator[Metric]:
    for figure in figures:
        labels = figure.label.split(",") if figure.label else []
        family = kind(_PREFIX + figure.name, figure.help, labels=labels)
        found = {label: value for (name, label), value in values.items() if name == figure.name}
        if not figure.label:
            family.add_metric([], found.get("", 0))
        else:
            for label, value in sorted(found.items()):
                family.add_metric(label.split(",", len(labels) - 1), value)
        yield family
