"""The state of a gateway in one sentence."""

from typing import Any

import pytest

from gateway.admin.figures import Overview, figures
from gateway.admin.history import Minute
from gateway.admin.status import Status, StatusCheck
from gateway.admin.verdict import Trouble, level, since, troubles
from gateway.telemetry import metrics
from gateway.telemetry.snapshot import EMPTY, MetricsSnapshot

OK = Status(True, "ok", "ok")
CALM = Minute(1000, 2, 50, 0, 0.01, 0.2, {"few": (100, 5)})
LIVING = {(metrics.PROCESS_RESIDENT_MEMORY.name, ""): 1.0}


def _level(name: str, value: float, label: str = "") -> dict[tuple[str, str], float]:
    return {(name, label): value}


UP, OUT = "app,http://10.0.0.1:1", "app,http://10.0.0.2:1"


@pytest.mark.parametrize(
    ("levels", "status", "minute", "expected"),
    [
        pytest.param({}, OK, CALM, ("good", []), id="all-is-well"),
        pytest.param({}, OK, Minute(), ("good", []), id="no-request-yet"),
        pytest.param(
            _level("store_up", 0),
            OK,
            CALM._replace(grace=3),
            ("bad", ["The store does not answer: sessions live on grace"]),
            id="store-with-grace",
        ),
        pytest.param(
            _level("store_up", 0),
            OK,
            CALM,
            ("bad", ["The store does not answer: new sessions cannot be checked"]),
            id="store",
        ),
        pytest.param(
            _level("magic_up", 0),
            OK,
            CALM,
            ("bad", ["Magic does not answer: calls are paused, and sign-ins may fail"]),
            id="magic",
        ),
        pytest.param(
            {},
            OK,
            CALM._replace(limits={"api": (100, 30)}),
            ("warn", ["Limit api refuses 30 % of its requests"]),
            id="limit",
        ),
        pytest.param(
            {}, OK, CALM._replace(limits={"api": (9, 9)}), ("good", []), id="limit-seldom-asked"
        ),
        pytest.param(
            {},
            OK,
            CALM._replace(failed=20),
            ("warn", ["2 % of requests fail (5xx)"]),
            id="some-fail",
        ),
        pytest.param(
            {},
            OK,
            CALM._replace(failed=500),
            ("bad", ["50 % of requests fail (5xx)"]),
            id="many-fail",
        ),
        pytest.param(
            {},
            OK,
            CALM._replace(refused=300),
            ("warn", ["30 % of requests are refused"]),
            id="many-refused",
        ),
        pytest.param(
            {},
            OK,
            CALM._replace(gateway_p95_s=0.12, app_p95_s=6.0),
            ("bad", ["The app is slow: p95 of 6.0 s", "The gateway is slow: p95 of 120 ms"]),
            id="slow",
        ),
        pytest.param({}, OK, Minute(1, 1), ("good", []), id="one-request-failed"),
        pytest.param(
            {("upstream_server_up", UP): 1, ("upstream_server_up", OUT): 0},
            OK,
            CALM,
            ("warn", ["Upstream app: 1 of 2 servers out"]),
            id="one-server",
        ),
        pytest.param(
            {("upstream_server_up", OUT): 0},
            OK,
            CALM,
            ("bad", ["Upstream app: no server is in use"]),
            id="no-server",
        ),
        pytest.param(
            {("upstream_server_up", UP): 1, ("upstream_circuit_open", "app"): 1},
            OK,
            CALM,
            ("bad", ["Upstream app: its circuit breaker is open, requests are refused"]),
            id="circuit",
        ),
        pytest.param(
            {},
            OK._replace(status="draining"),
            CALM,
            ("warn", ["The gateway drains: it takes no more connections"]),
            id="draining",
        ),
        pytest.param(
            {},
            OK._replace(status="starting"),
            CALM,
            ("warn", ["The gateway starts"]),
            id="starting",
        ),
        pytest.param(
            {}, OK._replace(status="down"), CALM, ("bad", ["No worker serves"]), id="down"
        ),
        pytest.param(
            {},
            OK._replace(audit="failing"),
            CALM,
            ("bad", ["The audit file takes no lines"]),
            id="audit",
        ),
        pytest.param(
            _level("config_last_reload_success", 0),
            OK,
            CALM,
            ("warn", ["The config file was refused: the config before it stays in use"]),
            id="reload",
        ),
        pytest.param(
            {},
            OK._replace(checks=(StatusCheck("disc", False, "full"), StatusCheck("x", True, ""))),
            CALM,
            ("warn", ["disc: full"]),
            id="check",
        ),
    ],
)
def test_what_is_told(
    levels: dict[tuple[str, str], float], status: Status, minute: Minute, expected: tuple[str, Any]
) -> None:
    """Nothing where all is well; else a sentence for each thing."""
    whole = MetricsSnapshot({}, {**LIVING, **levels})
    told = troubles(figures(Overview(whole, {"worker 1": whole}), status, 1.0), minute)
    assert expected == (level(told), [each.text for each in told])


def test_a_worker_that_is_down_is_told() -> None:
    """Beside the others; the supervisor is none."""
    whole = MetricsSnapshot({}, LIVING)
    parts = {"supervisor": whole, "worker 1": whole, "worker 2": EMPTY}
    found = figures(Overview(whole, parts), OK, 1.0)
    assert ["1 of 2 workers is down"] == [each.text for each in troubles(found, CALM)]


def test_the_worst_comes_first() -> None:
    """Though it was found last."""
    whole = MetricsSnapshot({}, {**LIVING, ("upstream_server_up", UP): 1, ("store_up", ""): 0})
    draining = OK._replace(status="draining")
    told = troubles(figures(Overview(whole, {}), draining, 1.0), CALM)
    assert ["bad", "warn"] == [each.level for each in told]


def test_a_problem_keeps_its_time() -> None:
    """While it lasts, whatever its figures are; one that comes again has a new one."""
    told = [Trouble("failed", "warn", "2 %"), Trouble("store", "bad", "x")]
    known = since({}, told, 1.0)
    assert {"failed": 1.0} == since(known, [Trouble("failed", "bad", "9 %")], 2.0)
    assert {"failed": 3.0} == since({}, told[:1], 3.0)
