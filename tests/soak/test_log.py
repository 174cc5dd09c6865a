"""A log that is not read while requests come that are logged: prints how long others took."""

import time
from pathlib import Path

import pytest

from tests.fakes.http import fetch
from tests.fakes.logging_gateway import logging_gateway
from tests.fakes.metrics import figures

ROUNDS = 100
LINES = 50
"""Logged in each round: together more than pipe and buffer hold."""
ANSWER_S = 10.0
"""A request that waits for the reader would wait for ever."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_others_are_served(tmp_path: Path) -> None:
    """No request waits for the reader of the log."""
    took_s: list[float] = []
    async with logging_gateway(tmp_path) as running:
        for _ in range(ROUNDS):
            await running.refused(LINES)
            began_s = time.monotonic()
            assert 200 == (await fetch(running.port, "GET", "/x")).status
            took_s.append(time.monotonic() - began_s)
        dropped = (await figures(running.admin))["gateway_log_dropped_total"]
        began_s = time.monotonic()
    took_s.sort()
    print(  # noqa: T201
        f"log not read: p50 {took_s[len(took_s) // 2] * 1000:.1f} ms, slowest "
        f"{took_s[-1] * 1000:.0f} ms; {dropped:.0f} of {ROUNDS * LINES} lines dropped; "
        f"ended in {time.monotonic() - began_s:.1f} s"
    )
    assert took_s[-1] < ANSWER_S
    assert dropped
