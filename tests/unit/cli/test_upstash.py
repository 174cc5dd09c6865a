"""``gateway upstash``, where it does not come to serve."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import upstash as module
from gateway.cli.main import main
from gateway.core.errors import StartError
from gateway.runtime import serve
from gateway.telemetry import logs


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the server was started with; it cannot start."""
    seen: list[tuple[object, ...]] = []

    def fail(_work: object) -> None:
        raise StartError("no store")

    monkeypatch.setattr(module, "run_upstash", lambda *words: seen.append(words))
    monkeypatch.setattr(serve, "run", fail)
    monkeypatch.setattr(logs, "set_up", lambda: None)
    return seen


def test_options_reach_the_server(given: list[tuple[object, ...]]) -> None:
    """Exit status 1 and a message where it cannot start; the port has a default."""
    options = ["--token", "t", "--read-only-token", "r", "--data", "/data", "--port", "0"]
    for words in (["upstash"], ["upstash", *options]):
        result = CliRunner().invoke(main, words)
        assert (1, "gateway: no store\n") == (result.exit_code, result.stderr)
    assert [(8079, None, None, None), (0, "t", "r", Path("/data"))] == given


def test_the_two_tokens_must_differ(given: list[tuple[object, ...]]) -> None:
    """One that only reads would not be one; exit status 2."""
    result = CliRunner().invoke(main, ["upstash", "--token", "t", "--read-only-token", "t"])
    assert (2, "gateway: --token and --read-only-token must differ\n") == (
        result.exit_code,
        result.stderr,
    )
    assert [] == given


@pytest.mark.parametrize("token", ["", " t", "é", "a\nb"])
@pytest.mark.parametrize("option", ["--token", "--read-only-token"])
def test_a_token_must_fit_into_a_field(
    given: list[tuple[object, ...]], option: str, token: str
) -> None:
    """An unset variable of the shell is no token; the text is not repeated."""
    result = CliRunner().invoke(main, ["upstash", option, token])
    assert 2 == result.exit_code
    assert f"'{option}': it must be printable ASCII without spaces" in result.stderr
    assert [] == given
