"""``gateway check``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main

CONFIG = """
server: {public_url: "http://localhost:8080"}
redis: {url: "embedded://"}
magic: {mode: development}
upstreams: {app: {servers: ["http://127.0.0.1:3000"]}}
routes:
  - {name: all, match: {path: /*}, upstream: app}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


def _check(config: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["check", "--config", str(config), *options])


def test_a_config_that_can_be_used(config: Path) -> None:
    """Exit status 0, its routes, and a last line that says so."""
    result = _check(config)
    assert 0 == result.exit_code
    assert result.stdout.endswith(f"{config}: ok\n")
    assert "all" in result.stdout


def test_a_config_that_cannot_be_used(config: Path) -> None:
    """Exit status 2, and each problem on standard error."""
    config.write_text(CONFIG + "nonsense: 1\n")
    result = _check(config)
    assert (2, "") == (result.exit_code, result.stdout)
    assert "nonsense" in result.stderr


def test_it_says_which_routes_are_hidden(config: Path) -> None:
    """For each route those whose requests it takes: a few in the table, all as JSON."""
    config.write_text(
        CONFIG
        + "".join(f"  - {{name: r{n}, match: {{path: /r{n}}}, upstream: app}}\n" for n in range(6))
        + "  - {name: host, match: {host: a.example.com, path: /*}, upstream: app}\n"
    )
    routes = {
        route["name"]: route for route in json.loads(_check(config, "--json").stdout)["routes"]
    }
    assert ([], ["all"]) == (routes["all"]["hides"], routes["r0"]["hides"])
    assert ["all", *(f"r{n}" for n in range(6))] == routes["host"]["hides"]
    shown = " ".join(_check(config).stdout.replace("│", "").split())
    assert "and 3 more" in shown


def test_json(config: Path) -> None:
    """The same answers as JSON, with the same exit status."""
    found = json.loads(_check(config, "--json").stdout)
    assert (True, []) == (found["ok"], found["problems"])
    config.write_text(CONFIG + "nonsense: 1\n")
    result = _check(config, "--json")
    assert (2, False) == (result.exit_code, json.loads(result.stdout)["ok"])
