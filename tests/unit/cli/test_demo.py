"""``gateway demo``, where it does not come to serve."""

import pytest
from click.testing import CliRunner

from gateway.cli import demo as module
from gateway.cli.main import main
from gateway.core.errors import StartError
from gateway.runtime import serve
from gateway.telemetry import logs


def test_a_demo_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 1, and the message on standard error; the port reaches the demo."""
    ports: list[int] = []

    def fail(_work: object) -> None:
        raise StartError("no store")

    monkeypatch.setattr(module, "run_demo", ports.append)
    monkeypatch.setattr(serve, "run", fail)
    monkeypatch.setattr(logs, "set_up", lambda: None)
    result = CliRunner().invoke(main, ["demo", "--port", "8099"])
    assert (1, "gateway: no store\n", [8099]) == (result.exit_code, result.stderr, ports)
