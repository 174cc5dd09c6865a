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


@pytest.mark.parametrize("name", [".", "missing.yaml"])
def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path, name: str) -> None:
    """As all that keeps a config from being used: programs read its code."""
    ran = CliRunner().invoke(main, ["check", "--json", "--config", str(tmp_path / name)])
    [found] = json.loads(ran.stdout)["findings"]
    assert (2, "unreadable-config", "error") == (ran.exit_code, found["code"], found["severity"])


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
    """The same answers as JSON, with the same exit status; each finding has its parts."""
    found = json.loads(_check(config, "--json").stdout)
    assert (True, []) == (found["ok"], found["problems"])
    config.write_text(CONFIG + "nonsense: 1\n")
    result = _check(config, "--json")
    found = json.loads(result.stdout)
    assert (2, False) == (result.exit_code, found["ok"])
    assert [f"{config}:8: nonsense: unknown key"] == found["problems"]
    assert [
        {
            "file": str(config),
            "line": 8,
            "key": "nonsense",
            "code": "unknown-key",
            "severity": "error",
            "message": "unknown key",
            "remedy": "remove the key, or correct its name",
        }
    ] == found["findings"]


def test_warnings_have_their_lines(config: Path) -> None:
    """A warning says where it is, as an error does."""
    place = f"{config}:7"
    assert f"{place}: warning: routes[0]: no rate limit" in _check(config).stderr
    (finding,) = json.loads(_check(config, "--json").stdout)["findings"]
    assert ("checked-without-limit", 7, "routes[0]", "warning", "add limits") == (
        finding["code"],
        finding["line"],
        finding["key"],
        finding["severity"],
        finding["remedy"],
    )


def test_a_live_key_in_the_file(config: Path) -> None:
    """It is a warning, and the key is not shown."""
    config.write_text(
        CONFIG.replace("{mode: development}", "{secret_key: sk_live_hunter2}").replace(
            "routes:", "session: {keys: ['0123456789abcdef0123456789abcdef']}\nroutes:"
        )
    )
    result = _check(config)
    assert 0 == result.exit_code
    assert f"{config}:4: warning: magic.secret_key: a live secret key stands" in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.parametrize("as_json", [False, True])
def test_files_are_opened(config: Path, tmp_path: Path, *, as_json: bool) -> None:
    """A file without which the gateway would not start is an error, one it can miss a warning."""
    missing = tmp_path / "missing"
    config.write_text(
        CONFIG
        + f"login: {{logo: {missing}}}\n"
        + f"credentials: {{jwt: [{{issuer: i, audience: a, jwks_file: {missing}}}]}}\n"
    )
    result = _check(config, *["--json"] * as_json)
    assert 2 == result.exit_code
    if as_json:
        kinds = {found["key"]: found["severity"] for found in json.loads(result.stdout)["findings"]}
        assert ("error", "warning") == (kinds["login.logo"], kinds["credentials.jwt[0].jwks_file"])
    else:
        assert f"{config}:8: login.logo: {missing}: No such file or directory" in result.stderr
        assert "ok" not in result.stdout


def test_strict(config: Path) -> None:
    """With a warning the exit status is 1, in text and as JSON; without one it is 0."""
    result = _check(config, "--strict")
    assert 1 == result.exit_code
    assert f"{config}: refused by --strict, warnings: 1\n" in result.stderr
    assert "ok" not in result.stdout
    result = _check(config, "--strict", "--json")
    assert (1, False) == (result.exit_code, json.loads(result.stdout)["ok"])
    config.write_text(f"{CONFIG}limits: {{default: {{rate: 300/minute}}}}\n")
    for options in ((), ("--json",)):
        assert 0 == _check(config, "--strict", *options).exit_code


def test_errors_count_more_than_warnings(config: Path) -> None:
    """Exit status 2 with --strict, too."""
    config.write_text(CONFIG + "login: {logo: /absent.svg}\n")
    assert 2 == _check(config, "--strict").exit_code


def test_ignored_codes(config: Path) -> None:
    """A warning that was judged can be left out, by its code; errors cannot."""
    ignoring = ("--strict", "--ignore", "checked-without-limit")
    result = _check(config, *ignoring)
    assert (0, "") == (result.exit_code, result.stderr)
    assert [] == json.loads(_check(config, *ignoring, "--json").stdout)["findings"]
    assert 2 == _check(config, "--ignore", "no-such-code").exit_code
    config.write_text(CONFIG + "login: {logo: /absent.svg}\n")
    assert 2 == _check(config, "--ignore", "unusable-file").exit_code


def test_errors_have_remedies_and_codes(config: Path) -> None:
    """As warnings have; a message that says what is expected is its own remedy."""
    config.write_text(CONFIG + "nonsense: 1\nlog: {level: loud}\n")
    first, second = _check(config).stderr.splitlines()
    assert f"{config}:8: nonsense: unknown key: remove the key, or correct its name" in first
    assert first.endswith(" [unknown-key]")
    assert second.startswith(f"{config}:9: log.level: expected ")
    assert second.endswith(" [invalid-value]")
    assert "write " not in second
