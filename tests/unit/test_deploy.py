"""What is delivered for Prometheus and Grafana names metrics and labels that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.telemetry.metrics import METRICS, HistogramSpec

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus/alerts.yaml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))

TARGET = {
    "type": "object",
    "required": ["refId", "expr", "legendFormat", "datasource"],
    "properties": {"expr": {"type": "string", "minLength": 1}},
}
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "gridPos"],
    "properties": {
        "type": {"enum": ["row", "timeseries", "stat"]},
        "title": {"type": "string", "minLength": 1},
        "gridPos": {
            "type": "object",
            "required": ["h", "w", "x", "y"],
            "properties": {
                "w": {"type": "integer", "minimum": 1, "maximum": 24},
                "x": {"type": "integer", "minimum": 0, "maximum": 23},
            },
        },
        "targets": {"type": "array", "items": TARGET, "minItems": 1},
        "fieldConfig": {"type": "object", "required": ["defaults", "overrides"]},
    },
    "if": {"properties": {"type": {"not": {"const": "row"}}}},
    "then": {"required": ["description", "targets", "datasource", "fieldConfig", "options"]},
}
DASHBOARD = {
    "type": "object",
    "required": ["title", "uid", "schemaVersion", "templating", "time", "panels"],
    "properties": {
        "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {"type": "array", "items": PANEL, "minItems": 1},
        "templating": {
            "type": "object",
            "properties": {
                "list": {
                    "type": "array",
                    "items": {"type": "object", "required": ["name", "type", "query"]},
                }
            },
        },
    },
}
"""The part of Grafana's model of a dashboard that it needs to load one."""

LABELS_OF_SCRAPES = {"job", "instance", "le"}
WORD = re.compile(r"\b(?:gateway|process)_[a-z_]+\b")
SELECTED = re.compile(r"\b((?:gateway|process)_[a-z_]+)\{([^}]*)\}")
LABEL = re.compile(r'([a-z_]+)(?:=~|!=|!~|=)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")


def _series() -> dict[str, set[str]]:
    """All names that a query may have, with their labels."""
    return {
        f"{metric.exported}{suffix}": {*metric.labels, *LABELS_OF_SCRAPES}
        for metric in METRICS
        for suffix in (
            ("_bucket", "_sum", "_count") if isinstance(metric, HistogramSpec) else ("",)
        )
    }


def _rules() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        if isinstance(variable["query"], dict):
            yield variable["query"]["query"]


def _all_expressions() -> list[str]:
    shown = [each for path in DASHBOARDS for each in _expressions(json.loads(path.read_text()))]
    return [*shown, *(rule["expr"] for rule in _rules())]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_can_be_loaded(path: Path) -> None:
    """By the schema; no two panels have one id, and none reaches over the edge."""
    dashboard = json.loads(path.read_text())
    jsonschema.validate(dashboard, DASHBOARD)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert [] == [place for place in places if place["x"] + place["w"] > 24]
    assert len({(place["x"], place["y"]) for place in places}) == len(places)


def test_the_schema_refuses_what_is_no_dashboard() -> None:
    """A panel without a query shows nothing."""
    dashboard = json.loads(DASHBOARDS[0].read_text())
    del dashboard["panels"][1]["targets"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(dashboard, DASHBOARD)


def test_every_metric_that_is_named_exists() -> None:
    """In dashboards and alerts; a histogram by one of its three series."""
    named = {word for expression in _all_expressions() for word in WORD.findall(expression)}
    assert len(named) > 40
    assert set() == named - set(_series())


def test_every_label_that_is_named_exists() -> None:
    """In selectors by that metric's labels, in groups by those of any metric of the expression."""
    known = _series()
    for expression in _all_expressions():
        for name, matchers in SELECTED.findall(expression):
            assert set() == set(LABEL.findall(matchers)) - known[name], expression
        labels = set().union(*(known[word] for word in WORD.findall(expression)), {"job"})
        grouped = {label.strip() for by in GROUPED.findall(expression) for label in by.split(",")}
        assert set() == grouped - labels, expression


def test_every_metric_is_on_a_dashboard_or_in_an_alert_or_is_for_detail() -> None:
    """A metric that is left out is named here: it is of use once something is wrong."""
    named = {word for expression in _all_expressions() for word in WORD.findall(expression)}
    left_out = {
        metric.name
        for metric in METRICS
        if not any(series.startswith(metric.exported) for series in named)
    }
    assert left_out == {
        "bus_messages",
        "bus_subscriptions",
        "config_last_reload_timestamp_seconds",
        "first_logins_refused",
        "hook_events",
        "limit_excesses",
        "magic_logouts",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
        "reloads",
        "shadow_divergences",
        "shadow_requests",
        "store_wrong_replies",
        "tokens_early",
        "upstream_circuit_open",
        "upstream_servers_out",
        "upstream_stray_bytes",
    }


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    """In a file that promtool runs, see `tests/peers/test_prometheus.py`."""
    rules = _rules()
    tests = yaml.safe_load((ALERTS.parent / "alerts_test.yaml").read_text())["tests"]
    assert [rule["alert"] for rule in rules] == [test["name"] for test in tests]
    assert {"critical", "warning", "info"} == {rule["labels"]["severity"] for rule in rules}
    assert [] == [rule for rule in rules if {"summary", "description"} != set(rule["annotations"])]
