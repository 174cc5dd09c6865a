"""``gateway diff``."""

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
PUBLIC = CONFIG + "  - {name: a, match: {path: /a/*}, auth: none, upstream: app}\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.yaml"
    path.write_text(CONFIG)
    return path


def _diff(old: Path, text: str, *options: str) -> Result:
    new = old.with_name("new.yaml")
    new.write_text(text)
    return CliRunner().invoke(main, ["diff", str(old), str(new), *options])


def test_what_became_public(old: Path) -> None:
    """Exit status 1, and the request that proves it."""
    result = _diff(old, PUBLIC)
    assert (1, "") == (result.exit_code, result.stderr)
    assert [
        "public: GET http://localhost:8080/a/x",
        "  was: route all: auth required (did-token, session of development mode)",
        "  now: route a: auth none",
        "  for: /a/* on any host",
        "1 public",
    ] == result.stdout.splitlines()


def test_what_became_protected(old: Path) -> None:
    """Exit status 0."""
    old.write_text(PUBLIC)
    result = _diff(old, CONFIG)
    assert 0 == result.exit_code
    assert result.stdout.startswith("protected: GET http://localhost:8080/a/x\n")
    assert result.stdout.endswith("\n1 protected\n")


def test_no_change(old: Path) -> None:
    """The text may differ."""
    result = _diff(old, f"# another text\n{CONFIG}")
    assert (0, "no request meets a change\n") == (result.exit_code, result.stdout)


def test_a_config_that_cannot_be_used(old: Path) -> None:
    """Exit status 2, whichever it is."""
    assert 2 == _diff(old, CONFIG + "nonsense: 1\n").exit_code
    old.write_text("nonsense: 1\n")
    result = _diff(old, CONFIG)
    assert (2, "") == (result.exit_code, result.stdout)
    assert "nonsense" in result.stderr


def test_json(old: Path) -> None:
    """The same for programs, with all requests of each change."""
    result = _diff(old, PUBLIC, "--json")
    found = json.loads(result.stdout)
    assert (1, True) == (result.exit_code, found["became_public"])
    (change,) = found["changes"]
    assert ("public", "GET", "http://localhost:8080/a/x", None) == (
        change["kind"],
        change["method"],
        change["url"],
        change["client"],
    )
    assert {"host": None, "path": "/a/*", "method": "GET"} in change["requests"]
    assert {"became_public": False, "changes": []} == json.loads(
        _diff(old, CONFIG, "--json").stdout
    )


def test_a_change_for_some_clients(old: Path) -> None:
    """JSON names the client apart."""
    text = PUBLIC.replace("auth: none,", "auth: none, deny: {networks: [10.0.0.0/8]},")
    old.write_text(text)
    (change,) = json.loads(_diff(old, PUBLIC, "--json").stdout)["changes"]
    assert ("http://localhost:8080/a/x", "10.0.0.0") == (change["url"], change["client"])


def test_patterns_and_methods_of_a_change(old: Path) -> None:
    """A few patterns are shown, /x covers /x/, and methods where they are not all."""
    old.write_text(CONFIG.replace("/*", "/none"))
    routes = "".join(
        f"  - {{name: r{n}, match: {{path: /{n}, methods: [GET]}}, upstream: app}}\n"
        for n in range(6)
    )
    result = _diff(old, CONFIG.replace("/*", "/none") + routes)
    assert 6 == result.stdout.count("added: ")
    assert "  for: /0 on any host (GET, HEAD)\n" in result.stdout
    root = "  - {name: root, match: {path: /}, auth: required, upstream: app}\n"
    old.write_text(CONFIG + root)
    result = _diff(old, CONFIG + root.replace("required", "none"))
    assert "  for: / on any host\n" in result.stdout


def test_many_patterns_of_a_change(old: Path) -> None:
    """The others are counted; JSON has them all."""
    hosts = [f"h{n}.example.com" for n in range(6)]
    old.write_text(CONFIG + "".join(
        f"  - {{name: h{n}, match: {{host: {host}, path: /x}}, upstream: app}}\n"
        for n, host in enumerate(hosts)
    ))  # fmt: skip
    result = _diff(
        old,
        old.read_text().replace("name: all, match: {path: /*}", "name: every, match: {path: /*}"),
    )
    assert "; and 3 more\n" in result.stdout
    assert result.stdout.startswith("renamed: GET http://localhost:8080/x\n")
