"""`python -m benchmarks`: build, start, measure, report."""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report
from benchmarks.build import CannotRun, build
from benchmarks.report import Measurement
from benchmarks.scenarios import SCENARIOS, Callers, Plan, Scenario, measure
from benchmarks.servers import Cores, Rig, cores, pinned

ROUNDS = 3
_WIDE = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or with ``--check`` 1 if a bar was missed; 3 if something did not run."""
    options = _options(arguments)
    if sys.platform != "linux":
        print("the benchmarks need Linux: epoll, /proc and pinned cores", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # servers are stopped on the way out
    where = cores()
    try:
        measurements = _run(options, where)
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 3
    rows = report.summarise(measurements)
    _show(rows, where)
    if options.json:
        text = json.dumps(report.as_json(measurements, _machine(where)), indent=2)
        options.json.write_text(text + "\n", "utf-8")
    return 1 if options.check and report.has_failed(rows) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--seconds", type=float, default=2.0, help="of each window (default: 2)")
    parser.add_argument("--connections", type=int, default=64, help="at one time (default: 64)")
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.connections <= 1:
        parser.error("--seconds must be over 0, --connections over 1")
    return options


def _run(options: argparse.Namespace, where: Cores) -> list[Measurement]:
    chosen = [one for one in SCENARIOS if not options.only or one.name in options.only]
    plan = Plan(options.connections, options.seconds, where.measured)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        callers = Callers(Rig(stack, directory, where))
        stack.enter_context(pinned(where.others))
        return _measure_all(chosen, callers, plan)


def _measure_all(chosen: Sequence[Scenario], callers: Callers, plan: Plan) -> list[Measurement]:
    """In rounds, so that what slows the machine for a while does not meet one scenario alone."""
    load = build("load")
    requests = [(scenario, scenario.request(callers)) for scenario in chosen]
    measurements = []
    for number in range(1, ROUNDS + 1):
        for scenario, request in requests:
            print(f"round {number} of {ROUNDS}: {scenario.name}", file=sys.stderr, flush=True)
            measurements.append(measure(load, scenario, request, plan))
    return measurements


def _show(rows: report.Rows, where: Cores) -> None:
    console = Console(width=max(_WIDE, Console().width), soft_wrap=True)
    if where.measured is None:
        console.print(
            "one core only: nothing is pinned, and all programs take time from each other"
        )
    for table in (report.throughput_table(rows), report.latency_table(rows)):
        if table.row_count:
            console.print(table)
    for line in [*report.notes(rows), *map(report.verdict, report.bars(rows))]:
        console.print(line, highlight=False)


def _machine(where: Cores) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "is_pinned": where.measured is not None,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main())
