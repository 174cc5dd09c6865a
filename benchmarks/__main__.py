"""Run the benchmarks: build the programs, start them, measure and report."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import report
from benchmarks.bars import Results, bars, has_failed, verdict
from benchmarks.build import NotHere
from benchmarks.callers import Callers, Request
from benchmarks.once import SINGLES
from benchmarks.rival import Fields
from benchmarks.rows import Measurement, summarise
from benchmarks.scenarios import SCENARIOS, Plan, Scenario, load_for, measure, rate_of
from benchmarks.servers import Cores, cores, rig
from benchmarks.terminal import exit_status, machine, report_console, say

ROUNDS = 3


class Measured(NamedTuple):
    """The results of a run."""

    windows: list[Measurement]
    figures: dict[str, float]
    left_out: list[str]
    """Scenarios that could not be measured here, each with the reason."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the benchmarks, and return the exit status.

    0; with ``--check`` 1 if a bar was missed; 3 if a program did not run.
    """
    options = _options(arguments)
    return exit_status(lambda: _measure_and_show(options))


def _measure_and_show(options: argparse.Namespace) -> int:
    where = cores()
    measured = _run(options, where)
    results = Results(summarise(measured.windows), measured.figures)
    _show(results, measured.left_out, where)
    if options.json:
        figures = report.as_json(measured.windows, measured.figures, machine(where))
        options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return 1 if options.check and has_failed(results) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    names = [one.name for one in SCENARIOS] + [one.name for one in SINGLES]
    parser.add_argument("--seconds", type=float, default=2.0, help="per window (default: 2)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of windows (default: 3)")
    parser.add_argument("--connections", type=int, default=64, help="open at once (default: 64)")
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME", help=f"of {', '.join(names)}"
    )
    parser.add_argument(
        "--rival-fields",
        choices=[each.name.lower() for each in Fields],
        default=Fields.NGINX.name.lower(),
        help="what writes the fields of the rival's forwarded requests (default: nginx)",
    )
    parser.add_argument(
        "--rival-fresh",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long the rival keeps a session in its own memory (default: 0, it asks Redis)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.connections <= 1 or options.rounds < 1:
        parser.error("--seconds must be over 0, --connections over 1, --rounds at least 1")
    return options


def _run(options: argparse.Namespace, where: Cores) -> Measured:
    """Measure all windows, stop their servers, and then take the single figures."""
    plan = Plan(options.connections, options.seconds, where)
    measured = Measured([], {}, [])
    with rig(where) as programs:
        programs.rival_fields = Fields[options.rival_fields.upper()]
        programs.rival_fresh_s = options.rival_fresh
        chosen = [one for one in SCENARIOS if not options.only or one.name in options.only]
        _measure_windows(chosen, Callers(programs), plan, options.rounds, measured)
    for single in SINGLES:
        if not options.only or single.name in options.only:
            say(single.name)
            with rig(where) as programs, _leaving_out(single.name, measured):
                measured.figures.update(single.measure(programs))
    return measured


@contextmanager
def _leaving_out(name: str, measured: Measured) -> Iterator[None]:
    """Skip a scenario that this machine, or this gateway, does not support."""
    try:
        yield
    except NotHere as why:
        measured.left_out.append(f"left out: {name}: {why}")
        say(measured.left_out[-1])


def _measure_windows(
    chosen: Sequence[Scenario], callers: Callers, plan: Plan, rounds: int, measured: Measured
) -> None:
    """Measure in rounds, so that a temporary slowdown does not hit only one scenario."""
    requests: list[tuple[Scenario, Request]] = []
    for scenario in chosen:
        with _leaving_out(scenario.name, measured):
            request = scenario.request(callers)
            load_for(request)
            requests.append((scenario, request))
    for number in range(1, rounds + 1):
        for scenario, request in requests:
            with _leaving_out(scenario.name, measured):
                rate = rate_of(scenario, measured.windows)
                say(f"round {number} of {rounds}: {scenario.name}")
                measured.windows.append(measure(scenario, request, plan, rate))


def _show(results: Results, left_out: list[str], where: Cores) -> None:
    console = report_console(where)
    for table in report.tables(results):
        console.print(table)
    for line in [*report.notes(results), *left_out, *map(verdict, bars(results))]:
        console.print(line, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
