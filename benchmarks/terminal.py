"""What the programs say, and where they ran."""

import os
import platform
import sys
from typing import Any

from rich.console import Console

from benchmarks.servers import Cores

_WIDE = 160


def say(line: str) -> None:
    """Print a line of progress; it stays out of the report."""
    print(line, file=sys.stderr, flush=True)


def report_console(where: Cores) -> Console:
    """The console for a report, which begins with what is wrong with the machine."""
    console = Console(width=max(_WIDE, Console().width), soft_wrap=True)
    if where.measured is None:
        console.print(
            "one core only: nothing is pinned, and all programs take time from each other"
        )
    return console


def machine(where: Cores) -> dict[str, Any]:
    """The machine, for programs that read the figures."""
    return {
        "cores": os.cpu_count(),
        "is_pinned": where.measured is not None,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
