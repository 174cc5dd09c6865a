"""What the operating system says of this process."""

import resource
import time
from pathlib import Path

from gateway.telemetry.metrics import (
    PROCESS_CPU_SECONDS,
    PROCESS_MAX_FDS,
    PROCESS_OPEN_FDS,
    PROCESS_RESIDENT_MEMORY,
    PROCESS_START_TIME,
    PROCESS_VIRTUAL_MEMORY,
)
from gateway.telemetry.process_figures import process_figures


def test_the_figures_are_those_of_this_process() -> None:
    """By the names that the clients of Prometheus use."""
    counts, levels = process_figures()
    assert 0 < counts[PROCESS_CPU_SECONDS, ""] <= time.process_time() + 1
    assert abs(levels[PROCESS_OPEN_FDS, ""] - len(list(Path("/proc/self/fd").iterdir()))) <= 2
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == levels[PROCESS_MAX_FDS, ""]
    assert 1e6 < levels[PROCESS_RESIDENT_MEMORY, ""] < levels[PROCESS_VIRTUAL_MEMORY, ""]
    assert levels[PROCESS_START_TIME, ""] < time.time()
    assert "process_cpu_seconds_total" == PROCESS_CPU_SECONDS.exported
    assert "process_open_fds" == PROCESS_OPEN_FDS.exported
