"""
Show where the CPU time of a request goes: the row by the clock, its parts by samples.

    python -m benchmarks.where --row browser

It needs py-spy (pip install py-spy), which looks at a running process from outside: a profiler
inside makes Python dearer than what is written in C.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from benchmarks.build import CannotRun, NotHere
from benchmarks.callers import Callers
from benchmarks.report import markdown_table
from benchmarks.scenarios import SCENARIOS, Plan, Scenario, measure
from benchmarks.servers import Rig, cores, pinned, rig
from benchmarks.terminal import exit_status, report_console, say

LOOP = "event loop: uvloop, reads, waiting for sockets"
_LOOPS = ("asyncio/runners.py", "uvloop/__init__.py")
"""Where a stack ends while the loop itself works."""
_WAITS = ("threading.py", "queue.py", "concurrent/futures/thread.py")
"""Where the stack of a thread that waits for work ends."""
_ROOMS_WITH_ROOMS = ("proxy", "authn")
_MORE = "all else"
_GENERATED = "generated code: named tuples, data classes"
_LEAST_SHARE = 0.01
_RATE = 500
"""Samples a second."""


class Sample(NamedTuple):
    """A stack, and how often it was seen."""

    files: tuple[str, ...]
    """The files of its functions, the innermost last."""
    times: int


def samples(raw: str) -> list[Sample]:
    """Read stacks as py-spy writes them: ``function (file:line);… times``."""
    found = []
    for line in raw.splitlines():
        stack, _, times = line.rpartition(" ")
        files = tuple(frame.rpartition("(")[2].rpartition(":")[0] for frame in stack.split(";"))
        found.append(Sample(files, int(times)))
    return found


def part_of(sample: Sample) -> str:
    """
    Name the part of the gateway whose function was the innermost, or the library.

    What is written in C counts for the function in Python that calls it.
    """
    file = sample.files[-1]
    if file.endswith(_LOOPS):
        return LOOP
    if file.startswith("gateway/"):
        _, room, *rest = file.removesuffix(".py").split("/")
        return f"{room}.{rest[0]}" if room in _ROOMS_WITH_ROOMS and len(rest) > 1 else room
    if file.startswith("<"):
        return _GENERATED
    return file.partition("/")[0].removesuffix(".py")


def costs_us(seen: Iterable[Sample], cpu_us: float) -> dict[str, float]:
    """Divide the cost of a request among the parts, in proportion to their samples."""
    times: Counter[str] = Counter()
    for sample in seen:
        if not sample.files[-1].endswith(_WAITS):
            times[part_of(sample)] += sample.times
    return {part: cpu_us * number / times.total() for part, number in times.items()}


def table(row: str, costs: Mapping[str, float]) -> Table:
    """Make the table of the report: the dearest part first, and the smallest ones together."""
    made = markdown_table(f"row `{row}`", "CPU µs a request", "share")
    whole = sum(costs.values())
    large = {part: cost for part, cost in costs.items() if cost >= _LEAST_SHARE * whole}
    ordered = dict(sorted(large.items(), key=lambda item: -item[1]))
    for part, cost in {**ordered, _MORE: whole - sum(large.values()), "in all": whole}.items():
        made.add_row(part, f"{cost:.1f}", f"{cost / whole:.0%}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, sample and print; return the exit status: 3 if a program did not run."""
    options = _options(arguments)
    return exit_status(lambda: _measure_and_show(options))


def _measure_and_show(options: argparse.Namespace) -> int:
    where = cores()
    scenario = next(each for each in SCENARIOS if each.name == options.row)
    plan = Plan(scenario.connections or 64, options.seconds, where)
    with rig(where) as programs:
        costs = _costs(scenario, programs, plan, options.rounds)
    report_console(where).print(table(options.row, costs))
    if options.json:
        text = json.dumps({"row": options.row, "costs_us": costs}, indent=2)
        options.json.write_text(text + "\n", "utf-8")
    return 0


def _costs(scenario: Scenario, programs: Rig, plan: Plan, rounds: int) -> dict[str, float]:
    sampler = shutil.which("py-spy")
    if sampler is None:
        raise NotHere("py-spy is not installed: pip install py-spy")
    request = scenario.request(Callers(programs))
    windows = [measure(scenario, request, plan) for _ in range(rounds)]
    cpu_us = min(window.cpu_us for window in windows if window.cpu_us is not None)
    say("taking samples")
    file = programs.directory / "samples"
    command = (sampler, "record", "--pid", str(request.server.pid), "--duration", "600")
    form = ("--rate", str(_RATE), "--format", "raw", "--output", str(file))
    with pinned(plan.where.others):
        process = subprocess.Popen(
            [*command, *form], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    with process:
        measure(scenario, request, plan)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    if not file.exists():
        raise CannotRun(f"py-spy took no samples: {said.strip()}")
    return costs_us(samples(Path(file).read_text("utf-8")), cpu_us)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [each.name for each in SCENARIOS if not each.load and "rival" not in each.name]
    parser = argparse.ArgumentParser("python -m benchmarks.where", description=__doc__)
    parser.add_argument("--row", choices=names, default="browser", metavar="NAME")
    parser.add_argument("--seconds", type=float, default=5.0, help="per window (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="windows by the clock (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
