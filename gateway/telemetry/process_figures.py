"""What the operating system says of this process, by the names that all programs give it."""

from typing import Final, NamedTuple

from prometheus_client.process_collector import ProcessCollector

from gateway.telemetry.metric_kinds import CounterSpec, GaugeSpec, NoLabel
from gateway.telemetry.metrics import (
    PROCESS_CPU_SECONDS,
    PROCESS_MAX_FDS,
    PROCESS_OPEN_FDS,
    PROCESS_RESIDENT_MEMORY,
    PROCESS_START_TIME,
    PROCESS_VIRTUAL_MEMORY,
)

_LEVELS: Final = (
    PROCESS_RESIDENT_MEMORY,
    PROCESS_VIRTUAL_MEMORY,
    PROCESS_OPEN_FDS,
    PROCESS_MAX_FDS,
    PROCESS_START_TIME,
)


class ProcessFigures(NamedTuple):
    """Counters and gauges; what cannot be read is missing."""

    counts: dict[tuple[CounterSpec[NoLabel], str], float]
    levels: dict[tuple[GaugeSpec, str], float]


def process_figures() -> ProcessFigures:
    """Read them from ``/proc``; 70 µs."""
    found = {
        sample.name: sample.value
        for family in ProcessCollector(registry=None).collect()
        for sample in family.samples
    }
    counts: dict[tuple[CounterSpec[NoLabel], str], float] = {
        (metric, ""): found[metric.exported]
        for metric in (PROCESS_CPU_SECONDS,)
        if metric.exported in found
    }
    levels: dict[tuple[GaugeSpec, str], float] = {
        (metric, ""): found[metric.exported] for metric in _LEVELS if metric.exported in found
    }
    return ProcessFigures(counts, levels)
