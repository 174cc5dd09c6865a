"""The time limit of commands."""

import asyncio
import subprocess
import sys

import pytest

from gateway.cli.time_limit import run_within

PROGRAM = """
import asyncio, socket
from threading import Event
from gateway.cli.time_limit import run_within

socket.getaddrinfo = lambda *_, **__: Event().wait()  # a name server that never answers
try:
    run_within(asyncio.open_connection("redis.internal", 6379), 0.05)
except TimeoutError:
    print("in time", flush=True)
"""


def test_what_is_done_in_time_has_its_result() -> None:
    """Also that of a thread."""

    async def work() -> int:
        return await asyncio.to_thread(lambda: 7)

    assert 7 == run_within(work(), 10)


def test_an_error_is_raised_as_it_is() -> None:
    """Also that of a thread."""

    async def work() -> None:
        await asyncio.to_thread(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        run_within(work(), 10)


def test_a_name_server_that_does_not_answer_holds_up_neither_work_nor_exit() -> None:
    """The program ends, though a thread still waits for the name."""
    command = [sys.executable, "-c", PROGRAM]
    ran = subprocess.run(command, check=False, capture_output=True, timeout=30)
    assert (0, b"in time\n") == (ran.returncode, ran.stdout)
