"""What is delivered for Prometheus, loaded by a real one that scrapes a real gateway."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.fakes.free_port import free_port
from tests.fakes.http import fetch
from tests.fakes.programs import installed
from tests.fakes.prometheus import ALERTS, ROOT, prometheus
from tests.fakes.servers import eventually
from tests.fakes.world import ADMIN, world

DASHBOARD = json.loads((ROOT / "deploy/grafana/gateway.json").read_text())
NAMES = [rule["alert"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]]
VARIABLES = {"$job": "gateway", "$instance": ".*", "$route": ".*", "$__rate_interval": "1m"}


def _promtool(*arguments: str, given: bytes = b"") -> str:
    """What promtool says; a fault that it finds fails the test."""
    run = subprocess.run(
        [installed("promtool"), *arguments],
        cwd=ALERTS.parent,
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (run.stdout + run.stderr).decode()
    assert 0 == run.returncode, said
    return said


def test_the_alerts_are_valid_and_fire_when_they_should() -> None:
    """Each has series that it fires for, beside others for which it does not."""
    assert f"{len(NAMES)} rules found" in _promtool("check", "rules", ALERTS.name)
    assert "SUCCESS" in _promtool("test", "rules", "alerts_test.yaml")


def _expressions() -> list[str]:
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


async def test_a_real_prometheus_reads_all_of_it(tmp_path: Path) -> None:
    """
    It scrapes two workers, takes the rules, and evaluates each query of the dashboard.

    Numbers that went in come out: requests by route, method and status.
    """
    async with world(tmp_path, admin=ADMIN, workers="2") as around:
        admin_port = around.gateway.admin_port
        session = await around.sign_in()
        for _ in range(3):
            assert 200 == (await around.get("/x", session)).status
        assert 401 == (await around.get("/x")).status
        page = await fetch(admin_port, "GET", "/metrics")
        _promtool("check", "metrics", given=page.body)
        async with prometheus(tmp_path, free_port(), [admin_port], "200ms") as server:
            await eventually(lambda: server.is_scraping(1), within_s=30)
            found = await server.query(
                'sum by (method, status) (gateway_requests_total{route="rest"})'
            )
            assert {
                (("method", "GET"), ("status", "200")): 3,
                (("method", "GET"), ("status", "401")): 1,
            } == found
            sums = await server.query("sum(gateway_upstream_duration_seconds_count)")
            assert {(): 4} == sums  # the sign-in reached a page of the gateway's own
            for name in ("gateway_sessions_created_total", "gateway_store_up", "gateway_magic_up"):
                assert [1] == list((await server.query(name)).values()), name
            rules = (await server.ask("rules"))["groups"][0]["rules"]
            assert NAMES == [rule["name"] for rule in rules]
            assert set() == {rule["lastError"] for rule in rules if "lastError" in rule}
            for expression in _expressions():
                await server.query(expression)


@pytest.mark.parametrize("fault", ["gateway_nothing_total >", "sum by (route (up)"])
def test_promtool_finds_faults(fault: str, tmp_path: Path) -> None:
    """So that a run without a fault means something."""
    rule = {"alert": "A", "expr": fault}
    (tmp_path / "bad.yaml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    with pytest.raises(AssertionError):
        _promtool("check", "rules", str(tmp_path / "bad.yaml"))
