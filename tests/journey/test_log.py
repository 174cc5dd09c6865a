"""The gateway's own log: its reader, its level, its format."""

import json
import re
import signal
from pathlib import Path

import pytest

from tests.fakes.http import fetch
from tests.fakes.logging_gateway import logging_gateway
from tests.fakes.servers import eventually


@pytest.mark.timeout(120)
async def test_a_log_that_is_not_read_holds_no_request_up(tmp_path: Path) -> None:
    """Lines that find no room are counted, and the gateway stops in time."""
    async with logging_gateway(tmp_path) as running:
        for _ in range(200):
            await running.refused(50)
            # One that waits for the reader of the log is never answered.
            assert 200 == (await fetch(running.port, "GET", "/x")).status
            if await running.has_dropped():
                break
        assert await running.has_dropped()
    assert 0 == running.process.returncode


async def test_level_and_format_are_those_of_the_config(tmp_path: Path) -> None:
    """A reload changes both."""
    async with logging_gateway(tmp_path, log="{format: text}") as running:
        await running.refused(1)
        await eventually(lambda: running.says("was refused"), within_s=20)
        config = tmp_path / "gateway.yaml"
        config.write_text(config.read_text().replace("{format: text}", "{level: warning}"))
        running.process.send_signal(signal.SIGHUP)
        await eventually(running.has_reloaded, within_s=20)
        count = len(running.read())
        await running.refused(3)
    lines = running.read()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.\d{3}Z INFO    ", line) for line in lines)
    assert [] == lines[count:]


async def test_the_level_of_the_command_line_comes_first(tmp_path: Path) -> None:
    """Before that of the config, in every worker."""
    async with logging_gateway(
        tmp_path, "--log-level", "debug", log="{level: error}", workers=2
    ) as running:
        await running.refused(1)
        await eventually(lambda: running.says("was refused"), within_s=20)
    levels = {json.loads(line)["level"] for line in running.read()}
    assert {"debug", "info"} <= levels
