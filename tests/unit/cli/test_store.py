"""
How ``gateway store check`` prints what servers say.

tests/contract/test_store_check.py runs it.
"""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.schema import Settings
from gateway.store.server_info import StoreFinding, info_fields, judge_server
from tests.fakes.services import CONFIG, LISTEN

ADDRESS = "redis://[fd00::1]:6379"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("valkey", "valkey 9"),
        ("x\x1b[31m\x1b]0;t\x07", "x\ufffd[31m\ufffd]0;t\ufffd 9"),
        ("x[/]", "x[/] 9"),
        ("x[bold]", "x[bold] 9"),
    ],
)
def test_what_a_server_says_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, told: str
) -> None:
    """Without control characters, and no part of it is markup; nor is an IPv6 address."""

    async def examined(_: Settings) -> tuple[str, list[StoreFinding]]:
        return ADDRESS, list(judge_server(info_fields(f"server_name:{name}\nx_version:9\n")))

    monkeypatch.setattr("gateway.cli.store.examine_store", examined)
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.format(more="", server=LISTEN, redis="embedded://"))

    ran = CliRunner().invoke(main, ["store", "check", "--config", str(config)], terminal_width=200)

    assert (0, True) == (ran.exit_code, ADDRESS in ran.output), ran.output
    assert told.removesuffix(" 9") in ran.output
    assert "\x1b" not in ran.output
