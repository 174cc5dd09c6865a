"""
A metric is one declaration.

Files to touch for a new metric: `gateway/telemetry/metrics.py` (its constant) and the module that
counts. The table in docs/operating.md is generated from the list.
"""

from typing import Any, Literal

import pytest

from gateway.telemetry import metrics, prometheus, snapshot
from gateway.telemetry.counters import Counters
from gateway.telemetry.metric_kinds import CounterSpec, GaugeSpec
from gateway.telemetry.metrics import TOKENS_EARLY
from tests.fakes.metrics import undeclared
from tests.kinds.recipe import ROOT, files_with
from tests.unit.test_docs import metrics_table

Colour = Literal["red", "blue"]

TOYS: CounterSpec[Colour] = CounterSpec("toys", "Toys made", "colour", ("red", "blue"))
TOYS_KEPT = GaugeSpec("toys_kept", "Toys on the shelf")


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the toys: the one line that each takes."""
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, TOYS, TOYS_KEPT))


def _page(counters: Counters) -> str:
    return prometheus.page(snapshot.of(counters, {}, {(TOYS_KEPT, ""): 7})).decode()


def test_a_toy_metric_is_on_the_page() -> None:
    """With its help, its kind, its label and its value."""
    counters = Counters()
    counters.add(TOYS, "red")
    page = _page(counters).splitlines()
    assert "# HELP gateway_toys_total Toys made" in page
    assert "# TYPE gateway_toys_total counter" in page
    assert 'gateway_toys_total{colour="red"} 1.0' in page
    assert "gateway_toys_kept 7.0" in page


def test_a_value_that_is_not_declared_is_refused() -> None:
    """Mypy refuses it at the call site, and every test that reads a page refuses it there."""
    counters = Counters()
    counters.add(TOYS, "red")
    assert [] == undeclared(_page(counters))
    unchecked: CounterSpec[Any] = TOYS
    counters.add(unchecked, "gren")
    assert ["gateway_toys_total {'colour': 'gren'}"] == undeclared(_page(counters))


def test_the_table_of_the_documentation_is_generated() -> None:
    """From the same list, so that a metric without a row fails `tests/unit/test_docs.py`."""
    assert "| `gateway_toys_total` | counter | colour | Toys made |" in metrics_table()
    assert "| `gateway_toys_kept` | gauge |  | Toys on the shelf |" in metrics_table()


def test_a_metric_is_named_in_two_modules() -> None:
    """The list, and the module that counts; its name as exported stands in the list alone."""
    assert ["gateway/telemetry/metrics.py"] == files_with(f'"{TOKENS_EARLY.name}"')
    assert 2 == len(files_with("TOKENS_EARLY"))
    assert "gateway_tokens_early_total" in (ROOT / "docs/operating.md").read_text()
