"""The figures of the dashboard: those of the metrics, put together."""

import re
from importlib.resources import files

import pytest

from gateway.admin.figures import MAX_ROUTES, Overview, figures, newest, refusal_document
from gateway.admin.status import Status, StatusCheck
from gateway.telemetry import metrics, snapshot
from gateway.telemetry.snapshot import Distribution, MetricsSnapshot

STATUS = Status(True, "ok", "ok", checks=(StatusCheck("store", True, "answered"),))


def _figures(counts: dict[tuple[str, str], float], **more: object) -> dict[str, object]:
    whole = MetricsSnapshot(counts, {}, **more)  # type: ignore[arg-type]
    return figures(Overview(whole, {"worker 1": whole}), STATUS, 1.5)


def test_requests_are_told_by_status_and_by_route() -> None:
    """The totals are those of the metric, whatever they are grouped by."""
    requests = metrics.REQUESTS.name
    found = _figures(
        {
            (requests, "a,GET,200"): 5,
            (requests, "a,POST,503"): 2,
            (requests, "b,GET,200"): 9,
            (requests, "-,other,400"): 1,
        }
    )
    assert {"2xx": 14, "5xx": 2, "4xx": 1} == found["requests"]
    assert [("b", 9, 0), ("a", 7, 2), ("-", 1, 0)] == [
        (each["route"], each["requests"], each["failed"])
        for each in found["routes"]  # type: ignore[attr-defined]
    ]


def test_a_config_with_many_routes_has_a_bounded_page() -> None:
    """The routes that had most requests are told."""
    many = {(metrics.REQUESTS.name, f"r{each},GET,200"): each for each in range(1, 1000)}
    routes = _figures(dict(many))["routes"]
    assert isinstance(routes, list)
    assert (MAX_ROUTES, "r999") == (len(routes), routes[0]["route"])


def test_limits_that_refuse_come_first() -> None:
    """Each with what it has decided."""
    decided = metrics.LIMIT_DECISIONS.name
    found = _figures(
        {(decided, "calm,allowed"): 90, (decided, "few,allowed"): 3, (decided, "few,refused"): 4}
    )
    assert [
        {"limit": "few", "allowed": 3, "refused": 4},
        {"limit": "calm", "allowed": 90},
    ] == found["limits"]


def test_durations_of_all_routes_are_added() -> None:
    """Percentiles of the gateway's part are not those of one route."""
    counts = (1,) + (0,) * len(metrics.SHORT_BUCKETS_S)
    name = metrics.GATEWAY_DURATION.name
    each = Distribution(counts, 0.1)
    found = _figures({}, distributions={(name, "a"): each, (name, "b"): each})
    durations = found["durations"]
    assert isinstance(durations, dict)
    assert [2] + [0] * len(metrics.SHORT_BUCKETS_S) == durations["gateway"]
    assert [0] * (len(metrics.BUCKETS_S) + 1) == durations["total"]


def test_durations_of_a_route_are_its_own() -> None:
    """One that the app has not answered has none of the app."""
    counts = (1,) + (0,) * len(metrics.SHORT_BUCKETS_S)
    of = {(metrics.GATEWAY_DURATION.name, "a"): Distribution(counts, 0.1)}
    found = _figures({(metrics.REQUESTS.name, "a,GET,200"): 1}, distributions=of)
    routes = found["routes"]
    assert isinstance(routes, list)
    assert [(counts, ())] == [(each["gateway"], each["app"]) for each in routes]


def test_servers_and_workers_are_told_one_by_one() -> None:
    """A worker that is down has no gauges."""
    name = "app,http://127.0.0.1:1"
    levels = {
        (metrics.UPSTREAM_SERVER_UP.name, name): 0.0,
        (metrics.UPSTREAM_BUSY.name, "app"): 3.0,
        (metrics.UPSTREAM_CIRCUIT_OPEN.name, "app"): 1.0,
        (metrics.PROCESS_RESIDENT_MEMORY.name, ""): 5.0,
    }
    whole = MetricsSnapshot({(metrics.PROCESS_CPU_SECONDS.name, ""): 2.5}, levels)
    found = figures(Overview(whole, {"worker 1": whole, "worker 2": snapshot.EMPTY}), STATUS, 1.0)
    [upstream] = found["upstreams"]
    assert ([("http://127.0.0.1:1", False)], 3) == (upstream["servers"], upstream["busy"])
    assert 1 == upstream["circuit_open"]
    one, two = found["workers"]
    assert (True, 2.5, 5.0) == (one["up"], one["cpu_s"], one["memory_bytes"])
    assert (False, None) == (two["up"], two["memory_bytes"])


def test_what_nothing_tells_is_not_made_up() -> None:
    """Development mode has no Magic: that it is up would be wrong, and so would be down."""
    found = _figures({})
    assert (None, None) == (found["magic"]["up"], found["store"]["up"])  # type: ignore[index]
    assert ("ok", 1.5) == (found["status"], found["time_s"])


def _names(found: object) -> set[str]:
    """All names in a document."""
    if isinstance(found, list):
        return {name for each in found for name in _names(each)}
    if not isinstance(found, dict):
        return set()
    return {*found, *(name for each in found.values() for name in _names(each))}


@pytest.mark.parametrize("name", sorted(_names(_figures({}))))
def test_the_page_shows_each_figure(name: str) -> None:
    """One that neither a script nor the sentence of the state reads is sent each second in vain."""
    sources = [
        *(each for each in files("gateway.admin").joinpath("static").iterdir()),
        files("gateway.admin").joinpath("verdict.py"),
    ]
    texts = [each.read_text() for each in sources if each.name.endswith((".js", ".py"))]
    assert any(re.search(rf"\b{name}\b", text) for text in texts)


def test_the_newest_refusals_of_all_workers() -> None:
    """In the order in which they came."""
    of_workers = [{"time": "3"}, {"time": "1"}, {"time": "2"}]
    assert [{"time": "2"}, {"time": "3"}] == newest(of_workers, 2)


def test_a_refusal_is_told_with_its_question() -> None:
    """And without what the dashboard does not show."""
    found = refusal_document({"time": "1", "path": "/x", "bytes": 7, "question": {"url": "/x"}})
    assert ("1", "/x", "", {"url": "/x"}) == (
        found["time"],
        found["path"],
        found["issuer"],
        found["question"],
    )
    assert "bytes" not in found
