"""Output of the benchmarks, and the description of the machine."""

import os
import platform
import signal
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from benchmarks.build import CannotRun
from benchmarks.servers import Cores

_WIDE = 160


def exit_status(program: Callable[[], int]) -> int:
    """Run a program of this package; return its exit status, or 3 where something cannot run."""
    if sys.platform != "linux":
        print("the benchmarks need Linux: epoll, /proc and pinned cores", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # servers are stopped on the way out
    try:
        return program()
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 3


def say(line: str) -> None:
    """Print a line of progress to stderr, apart from the report."""
    print(line, file=sys.stderr, flush=True)


def report_console(where: Cores) -> Console:
    """Make the console of a report, with a warning first if the machine has only one core."""
    console = Console(width=max(_WIDE, Console().width), soft_wrap=True)
    if where.measured is None:
        console.print("one core only: nothing is pinned, and all programs compete for it")
    return console


def machine(where: Cores) -> dict[str, Any]:
    """Describe the machine, for the JSON output."""
    return {
        "cores": os.cpu_count(),
        "is_pinned": where.measured is not None,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
