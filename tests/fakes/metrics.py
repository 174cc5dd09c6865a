"""The metrics page, read."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.telemetry import metrics
from gateway.telemetry.metric_kinds import MetricSpec
from tests.fakes.http import fetch


async def figures(port: int) -> dict[str, float]:
    """What the private listener on ``port`` shows, by name with labels."""
    page = (await fetch(port, "GET", "/metrics")).body.decode()
    assert [] == undeclared(page)
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def undeclared(page: str) -> list[str]:
    """The counters and gauges of ``page`` with a label value that is not declared."""
    known = {metric.exported: metric for metric in metrics.METRICS}
    return [
        f"{sample.name} {sample.labels}"
        for family in text_string_to_metric_families(page)
        if family.type != "histogram"
        for sample in family.samples
        if sample.name not in known or not known[sample.name].allows(_value(known, sample))
    ]


def _value(known: dict[str, MetricSpec], sample: Sample) -> str:
    """The values of the labels, in the order in which they are declared."""
    return ",".join(sample.labels[label] for label in known[sample.name].labels)


class Totals(NamedTuple):
    """What the dashboard and the metrics page both show, in one form."""

    requests: dict[str, int]
    """By the first digit of the status."""
    routes: dict[str, tuple[int, int]]
    """Requests, and those that failed."""
    refusals: dict[str, int]
    reasons: dict[str, int]
    limits: dict[str, dict[str, int]]
    durations: dict[str, list[int]]
    """Values in each bucket."""

    @property
    def asked(self) -> int:
        """All requests."""
        return sum(self.requests.values())

    @classmethod
    def told(cls, figures: dict[str, Any]) -> "Totals":
        """Those of an event of the dashboard."""
        limits = {each.pop("limit"): each for each in map(dict, figures["limits"])}
        routes = {each["route"]: (each["requests"], each["failed"]) for each in figures["routes"]}
        return cls(
            figures["requests"],
            routes,
            figures["refusals"],
            figures["reasons"],
            limits,
            figures["durations"],
        )


_DURATIONS = {"request": "total", "gateway": "gateway", "upstream": "app"}


async def totals(port: int) -> Totals:
    """What the metrics page on ``port`` shows."""
    page = (await fetch(port, "GET", "/metrics")).body.decode()
    samples = [
        sample for family in text_string_to_metric_families(page) for sample in family.samples
    ]
    requests, asked, failed = Counter[str](), Counter[str](), Counter[str]()
    for each in _named(samples, "gateway_requests_total"):
        requests[f"{each.labels['status'][0]}xx"] += int(each.value)
        asked[each.labels["route"]] += int(each.value)
        failed[each.labels["route"]] += int(each.value) * each.labels["status"].startswith("5")
    limits: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for each in _named(samples, "gateway_limit_decisions_total"):
        limits[each.labels["limit"]][each.labels["outcome"]] = int(each.value)
    return Totals(
        dict(requests),
        {route: (count, failed[route]) for route, count in asked.items()},
        {e.labels["code"]: int(e.value) for e in _named(samples, "gateway_refusals_total")},
        {
            e.labels["reason"]: int(e.value)
            for e in _named(samples, "gateway_refusal_reasons_total")
        },
        dict(limits),
        {name: _buckets(samples, of) for of, name in _DURATIONS.items()},
    )


def _named(samples: Iterable[Sample], name: str) -> list[Sample]:
    return [each for each in samples if each.name == name]


def _buckets(samples: Iterable[Sample], of: str) -> list[int]:
    """How many values fell into each bucket; the page counts those of smaller ones along."""
    up_to: Counter[float] = Counter()
    for each in _named(samples, f"gateway_{of}_duration_seconds_bucket"):
        up_to[float(each.labels["le"])] += int(each.value)
    counts = [up_to[bound] for bound in sorted(up_to)]
    return [count - before for before, count in zip([0, *counts], counts, strict=False)]
