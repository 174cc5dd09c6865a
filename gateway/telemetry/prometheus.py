"""The metrics page, in the text format of Prometheus."""

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.telemetry import metrics
from gateway.telemetry.metrics import BUCKETS_S, CounterSpec, GaugeSpec, MetricSpec
from gateway.telemetry.snapshot import Labelled, MetricsSnapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "gateway_"


def page(snapshot: MetricsSnapshot) -> bytes:
    """Write the text of ``/metrics``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricsCollector(snapshot))
    return generate_latest(registry)


class _MetricsCollector(Collector):
    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        for metric in metrics.METRICS:
            if isinstance(metric, CounterSpec):
                yield _family(CounterMetricFamily, metric, self._snapshot.counts)
            elif isinstance(metric, GaugeSpec):
                yield _family(GaugeMetricFamily, metric, self._snapshot.levels)
            else:
                yield self._durations(metric)

    def _durations(self, metric: MetricSpec) -> Metric:
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        counts = self._snapshot.durations or (0,) * len(bounds)
        family = HistogramMetricFamily(_PREFIX + metric.name, metric.help)
        buckets = [
            (bound, float(count)) for bound, count in zip(bounds, accumulate(counts), strict=True)
        ]
        family.add_metric([], buckets, self._snapshot.total_s)
        return family


def _family(
    kind: type[CounterMetricFamily | GaugeMetricFamily], metric: MetricSpec, values: Labelled
) -> Metric:
    labels = metric.label.split(",") if metric.label else []
    family = kind(_PREFIX + metric.name, metric.help, labels=labels)
    found = {label: value for (name, label), value in values.items() if name == metric.name}
    if not metric.label:
        family.add_metric([], found.get("", 0))
    else:
        for label, value in sorted(found.items()):
            family.add_metric(label.split(",", len(labels) - 1), value)
    return family
