"""The list of metrics."""

import re
from typing import Any

import pytest

from gateway.proxy.tunnel import registry
from gateway.proxy.tunnel.registry import TunnelEnd
from gateway.telemetry import metrics
from gateway.telemetry.metric_kinds import CounterSpec, MetricSpec
from gateway.telemetry.metrics import (
    CONNECTIONS,
    METRICS,
    REQUESTS,
    TUNNELS,
    TUNNELS_ENDED,
    UPSTREAM_RETRIES,
)


def test_no_name_stands_twice() -> None:
    """Each metric has a name of its own, which Prometheus can read."""
    names = [metric.name for metric in METRICS]
    assert sorted(set(names)) == sorted(names)
    assert [] == [name for name in names if not re.fullmatch(r"[a-z][a-z_]*", name)]


def test_every_constant_is_listed_once() -> None:
    """Declaring a constant is all that it takes to be on the page."""
    constants = [value for value in vars(metrics).values() if isinstance(value, MetricSpec)]
    assert constants == list(METRICS)


def test_a_misspelled_name_fails_at_the_import() -> None:
    """A call site names a constant, so that the process does not start."""
    with pytest.raises(ImportError):
        exec("from gateway.telemetry.metrics import CONNECTION", {})


@pytest.mark.parametrize(
    ("metric", "value", "is_allowed"),
    [
        pytest.param(CONNECTIONS, "accepted", True, id="closed-set"),
        pytest.param(CONNECTIONS, "acepted", False, id="misspelled"),
        pytest.param(CONNECTIONS, "", False, id="missing"),
        pytest.param(UPSTREAM_RETRIES, "app", True, id="open-set"),
        pytest.param(REQUESTS, "app,GET,200", True, id="three-labels"),
        pytest.param(TUNNELS, "", True, id="no-label"),
        pytest.param(TUNNELS, "closed", False, id="label-of-none"),
    ],
)
def test_a_label_value_is_declared_where_the_set_is_closed(
    metric: CounterSpec[Any], value: str, is_allowed: bool
) -> None:
    """The journeys hold every metrics page that they read to this (`tests.fakes.metrics`)."""
    assert is_allowed == metric.allows(value)


def test_every_end_of_a_tunnel_is_declared() -> None:
    """No more, no less."""
    ends = [value.reason for value in vars(registry).values() if isinstance(value, TunnelEnd)]
    assert sorted(ends) == sorted(TUNNELS_ENDED.values)
