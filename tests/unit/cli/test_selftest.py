"""``gateway selftest``, its output and its exit status; docs/selftest.md shows both as they are."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.core.errors import StartError

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "selftest.md").read_text()
ENV = {"MAGIC_SECRET_KEY": "sk_live_x", "SESSION_KEY": "0" * 44, "REDIS_URL": "redis://x:6379"}
BAD, GOOD = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def run(folder: Path, text: str, *options: str) -> Result:
    """Run the command on a config."""
    path = folder / "gateway.yaml"
    path.write_text(text)
    runner = CliRunner(env={"MAGIC_SECRET_KEY": "", **ENV})
    return runner.invoke(main, ["selftest", "--config", str(path), *options])


def normalised(text: str) -> str:
    """Output without what differs from run to run, or with each attack that is added."""
    text = re.sub(r"X-Request-Id: [0-9a-f]+", "X-Request-Id: …", text)
    text = re.sub(r"\d+ requests", "… requests", text)
    return re.sub(r"198\.18\.\d+\.\d+", "198.18.…", text)


def shown(command: str) -> str:
    """What the page shows as the output of ``command``."""
    found = re.search(rf"```console\n\$ {command}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_a_bad_config(tmp_path: Path) -> None:
    """Exit status 1, and the octets that were sent and what arrived, as the page shows it."""
    result = run(tmp_path, BAD)
    assert 1 == result.exit_code
    expected = normalised(shown("gateway selftest --config gateway.yaml"))
    assert expected == normalised(result.stdout.replace(f"{tmp_path}/", ""))


def test_a_good_config_as_json(tmp_path: Path) -> None:
    """Exit status 0; programs are told what was shown, and how many requests were sent."""
    result = run(tmp_path, GOOD, "--json")
    assert 0 == result.exit_code
    report = json.loads(result.stdout)
    assert (True, [], [], []) == (
        report["ok"],
        report["findings"],
        report["notes"],
        report["gaps"],
    )
    assert {"admin": "did-token"} == report["shown"]
    assert min(report["requests"].values()) >= 0
    assert report["took_ms"] > 0


def test_a_config_that_cannot_be_used(tmp_path: Path) -> None:
    """Exit status 2, with the problems."""
    result = run(tmp_path, "server: {}\n")
    assert 2 == result.exit_code
    assert "server.public_url: required" in result.stderr


def test_something_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 3 where the store of the selftest does not start."""

    def no_store(*_: object) -> None:
        raise StartError("embedded store: no such file")

    monkeypatch.setattr("gateway.selftest.lab.store_server", no_store)
    result = run(tmp_path, GOOD)
    assert (3, "gateway: embedded store: no such file\n") == (result.exit_code, result.stderr)


def test_too_little_time(tmp_path: Path) -> None:
    """Exit status 3 where attacks are left when the time is over; they are named."""
    result = run(tmp_path, GOOD, "--timeout", "1ms")
    assert 3 == result.exit_code
    assert "gap: paths: not finished after 0.001 s" in result.stdout
    assert ": nothing is shown by … requests: see the gaps\n" in normalised(result.stdout)


def test_what_proves_nothing(tmp_path: Path) -> None:
    """Exit status 3 where no caller could be shown to reach an app."""
    text = "".join(line for line in GOOD.splitlines(keepends=True) if "files" not in line)
    result = run(tmp_path, text.replace("upstream: app}", "upstream: app, allow: {roles: [x]}}"))
    assert 3 == result.exit_code
    assert "gap: no request of any caller reached an app" in result.stdout
