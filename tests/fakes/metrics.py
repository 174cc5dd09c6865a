"""The metrics page, read."""

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.telemetry import metrics
from gateway.telemetry.metrics import MetricSpec
from tests.fakes.http import fetch


async def figures(port: int) -> dict[str, float]:
    """What the private listener on ``port`` shows, by name with labels."""
    page = (await fetch(port, "GET", "/metrics")).body.decode()
    assert [] == undeclared(page)
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def undeclared(page: str) -> list[str]:
    """The counters and gauges of ``page`` with a label value that is not declared."""
    known = {f"gateway_{metric.name}{metric.suffix}": metric for metric in metrics.METRICS}
    return [
        f"{sample.name} {sample.labels}"
        for family in text_string_to_metric_families(page)
        if family.type != "histogram"
        for sample in family.samples
        if sample.name not in known or not known[sample.name].allows(_value(known, sample))
    ]


def _value(known: dict[str, MetricSpec], sample: Sample) -> str:
    """The values of the labels, in the order in which they are declared."""
    labels = known[sample.name].label
    return ",".join(sample.labels[label] for label in labels.split(",") if label)
