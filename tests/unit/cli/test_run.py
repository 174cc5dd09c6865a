"""``gateway run``, where it does not come to serve."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.core.errors import NotReached, StartError
from gateway.runtime import serve
from gateway.telemetry import logs
from tests.unit.cli.test_check import CONFIG


def test_a_config_that_cannot_be_used(tmp_path: Path) -> None:
    """Exit status 2, and the problem on standard error."""
    result = CliRunner().invoke(main, ["run", "--config", str(tmp_path / "none.yaml")])
    assert 2 == result.exit_code
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(StartError("the port is taken"), 1, id="cannot-run-here"),
        pytest.param(NotReached("Magic"), 3, id="not-reached"),
    ],
)
def test_a_gateway_that_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: StartError, status: int
) -> None:
    """The exit status says why; the message is on standard error."""

    def fail(work: object) -> None:
        work.close()  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(serve, "run", fail)
    monkeypatch.setattr(logs, "set_up", lambda *_: None)
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.replace("server: {", "server: {workers: 1, "))
    result = CliRunner().invoke(main, ["run", "--config", str(config)])
    assert (status, f"gateway: {error}\n") == (result.exit_code, result.stderr)
