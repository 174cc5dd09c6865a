"""The metrics page, in the text format of Prometheus: some 0.5 µs a line, as there may be many."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, TypeVar

from gateway.telemetry import metrics
from gateway.telemetry.metric_kinds import CounterSpec, GaugeSpec, MetricSpec
from gateway.telemetry.metrics import HistogramSpec
from gateway.telemetry.snapshot import Distribution, MetricsSnapshot

_V = TypeVar("_V")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def page(snapshot: MetricsSnapshot) -> bytes:
    """Write the text of ``/metrics``."""
    counts, levels = _grouped(snapshot.counts), _grouped(snapshot.levels)
    distributions = _grouped(snapshot.distributions)
    lines: list[str] = []
    for metric in metrics.METRICS:
        lines.append(f"# HELP {metric.exported} {metric.help}")
        lines.append(f"# TYPE {metric.exported} {metric.kind}")
        if isinstance(metric, CounterSpec):
            nothing = {} if metric.label else {"": 0.0}
            lines += _values(metric, {**nothing, **counts[metric.name]})
        elif isinstance(metric, GaugeSpec):
            lines += _values(metric, levels[metric.name])
        elif isinstance(metric, HistogramSpec):
            lines += _histograms(metric, distributions[metric.name])
    return "\n".join((*lines, "")).encode()


def _grouped(values: Mapping[tuple[str, str], _V]) -> defaultdict[str, dict[str, _V]]:
    """Group values by their metric's name."""
    grouped: defaultdict[str, dict[str, _V]] = defaultdict(dict)
    for (name, label), value in values.items():
        grouped[name][label] = value
    return grouped


def _values(metric: MetricSpec, found: Mapping[str, float]) -> Iterator[str]:
    name = metric.exported
    for label, value in sorted(found.items()):
        pairs = ",".join(_pairs(metric, label))
        yield f"{name}{{{pairs}}} {float(value)}" if pairs else f"{name} {float(value)}"


def _histograms(metric: HistogramSpec, found: Mapping[str, Distribution]) -> Iterator[str]:
    """Write a line for each bucket of each; one without a label is there from the start."""
    bounds = [*map(str, metric.bounds_s), "+Inf"]
    nothing = {} if metric.label else {"": Distribution((0,) * len(bounds), 0.0)}
    for label, each in sorted({**nothing, **found}.items()):
        yield from _histogram(metric.exported, _pairs(metric, label), bounds, each)


def _histogram(
    name: str, pairs: Sequence[str], bounds: Sequence[str], found: Distribution
) -> Iterator[str]:
    more = "".join(f",{pair}" for pair in pairs)
    sums = list(accumulate(found.counts))
    for bound, count in zip(bounds, sums, strict=True):
        yield f'{name}_bucket{{le="{bound}"{more}}} {count}.0'
    own = f"{{{','.join(pairs)}}}" if pairs else ""
    yield f"{name}_count{own} {sums[-1]}.0"
    yield f"{name}_sum{own} {found.total}"


def _pairs(metric: MetricSpec, label: str) -> list[str]:
    """Write labels and their values, in the order of the labels' names."""
    values = zip(metric.labels, metric.label_values(label), strict=True)
    return [f'{name}="{value.translate(_ESCAPED)}"' for name, value in sorted(values)]
