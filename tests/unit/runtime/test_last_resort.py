"""The end of a process that does not end by itself."""

import subprocess
import sys
import threading

from gateway.runtime.last_resort import STATUS, LastResort

STUCK = """
import threading
from gateway.runtime.last_resort import LastResort
from gateway.telemetry import logs
logs.set_up()
LastResort(0.05).begin(0.05)
threading.Event().wait()
"""


def test_a_process_that_waits_for_ever_is_ended() -> None:
    """Its status says so, and its log."""
    command = [sys.executable, "-c", STUCK]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)

    assert STATUS == done.returncode
    assert b"not ended in time" in done.stderr


def test_it_ends_after_the_time_to_drain_and_its_own() -> None:
    """Both together."""
    ended = threading.Event()

    LastResort(0.01, ended.set).begin(0.01)

    assert ended.wait(20)
