"""Output of the benchmarks, and the description of the machine."""

import os
import platform
import sys
from typing import Any

from rich.console import Console

from benchmarks.servers import Cores

_WIDE = 160


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
