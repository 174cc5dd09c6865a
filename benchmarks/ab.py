"""
Compare the CPU cost of requests with that of another checkout, in interleaved pairs of windows.

    python -m benchmarks.ab --base DIR
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import pairs
from benchmarks.build import CannotRun, NotHere
from benchmarks.callers import Callers
from benchmarks.checkout import THIS, Checkout, checkout_at, differences, installed
from benchmarks.pairs import MIN_PAIRS, Pair
from benchmarks.scenarios import SCENARIOS, WARM_UP_S, Plan, Scenario, load_for, measure
from benchmarks.servers import Cores, cores, rig
from benchmarks.terminal import exit_status, machine, report_console, say

PAIRS, SECONDS = 20, 1.0
"""Ratios of longer windows vary as much: more pairs tell more."""
ROWS = (
    "browser",
    "answers",
    "callers",
    "look-ups",
    "session",
    "varied",
    "sessions-5000",
    "bearer",
    "refused",
    "limited",
    "strict",
    "verify",
    "post-10k-session",
    "get-1m-session",
    "post-1m-session",
    "ws",
    "tls",
    "new",
)
"""What is compared if nothing else is asked for."""
MORE_ROWS = (
    "post-10k-browser",
    "lean",
    "get-10k-session",
    "tls-new",
    "routes-10",
    "routes-10000",
    "session-1",
    "strict-1",
)
"""What can be compared, too."""
_START_S = 4.0
"""Approximate time to start and stop the gateways of one side."""


class Compared(NamedTuple):
    """The results of a run."""

    pairs: dict[str, list[Pair]]
    """By row, in the order of the run."""
    left_out: dict[str, str]
    """What could not be measured here, and why."""
    failure: str = ""
    """Why the run ended before its end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the comparison, and return the exit status.

    0; with ``--check`` 1 if a row is worse; 3 if a program did not run.
    """
    options = _options(arguments)
    return exit_status(lambda: _compare_and_show(options))


def _compare_and_show(options: argparse.Namespace) -> int:
    where = cores()
    sides = checkout_at(options.base), THIS
    differs = differences(*map(installed, sides))
    compared = _run(options, where, sides)
    comparisons = [pairs.compare(name, measured) for name, measured in compared.pairs.items()]
    _show(comparisons, compared.left_out, differs, where)
    if options.json:
        figures = pairs.as_json(compared.pairs, machine(where), differs)
        options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    if compared.failure:
        print(f"the run ended early: {compared.failure}", file=sys.stderr)
        return 3
    return 1 if options.check and pairs.has_failed(comparisons) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.ab", description=__doc__)
    parser.add_argument(
        "--base", type=Path, required=True, metavar="DIR", help="the checkout to compare with"
    )
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of windows (default: {PAIRS})")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="of each window (default: 1)"
    )
    parser.add_argument("--connections", type=int, default=64, help="at one time (default: 64)")
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=(*ROWS, *MORE_ROWS),
        default=ROWS,
        metavar="NAME",
        help=f"default: {' '.join(ROWS)}; more: {' '.join(MORE_ROWS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a row is worse")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.connections <= 1:
        parser.error("--seconds must be over 0, --connections over 1")
    if options.pairs < MIN_PAIRS or options.pairs % 2:
        parser.error(f"--pairs must be even, so that each side is first as often, and {MIN_PAIRS}+")
    return options


def _run(
    options: argparse.Namespace, where: Cores, checkouts: tuple[Checkout, Checkout]
) -> Compared:
    """
    Measure one pair of each row with both gateways running, restart both, and repeat.

    Two processes of the same code differ by one or two per cent as long as they run, because of
    their memory layout and hash seed. If the gateways ran for the whole run, all pairs would share
    that difference, and the interval would not include it.
    """
    chosen = [each for each in SCENARIOS if each.name in options.rows]
    plan = Plan(options.connections, options.seconds, where)
    compared = Compared({each.name: [] for each in chosen}, {})
    _say_how_long(len(chosen), options)
    failure = ""
    with rig(where, checkouts[0]) as of_base, rig(where, checkouts[1], of_base) as of_here:
        sides = Callers(of_base), Callers(of_here)
        try:
            for number in range(options.pairs):
                for scenario in chosen:
                    _measure_pair(scenario, sides, number, plan, compared)
                of_base.stop_gateways()
                of_here.stop_gateways()
        except CannotRun as error:  # the pairs so far are not lost
            failure = str(error)
    found = {name: measured for name, measured in compared.pairs.items() if measured}
    return Compared(found, compared.left_out, failure)


def _measure_pair(
    scenario: Scenario, sides: tuple[Callers, Callers], number: int, plan: Plan, compared: Compared
) -> None:
    """Add a pair to ``compared``, or the reason why there is none."""
    if scenario.name in compared.left_out:
        return
    try:
        requests = scenario.request(sides[0]), scenario.request(sides[1])
        load_for(requests[0])
    except NotHere as why:
        compared.left_out[scenario.name] = str(why)
        say(f"left out: {scenario.name}: {why}")
        return
    first, second = pairs.in_order(requests, number)
    windows = {id(request): measure(scenario, request, plan) for request in (first, second)}
    pair = Pair(windows[id(requests[0])], windows[id(requests[1])])
    compared.pairs[scenario.name].append(pair)
    say(f"pair {number + 1}: {scenario.name}: {_text(pair)}")


def _text(pair: Pair) -> str:
    ratio = "–" if pair.ratio is None else f"{pair.ratio:.3f}"
    return f"{ratio}{', disturbed' if pair.is_disturbed else ''}"


def _say_how_long(rows: int, options: argparse.Namespace) -> None:
    of_pair_s = 2 * (rows * (options.seconds + WARM_UP_S) + _START_S)
    say(f"{options.pairs} pairs of {rows} rows: about {options.pairs * of_pair_s / 60:.0f} minutes")


def _show(
    comparisons: Sequence[pairs.Comparison],
    left_out: Mapping[str, str],
    differs: Sequence[str],
    where: Cores,
) -> None:
    console = report_console(where)
    console.print(pairs.table(comparisons))
    for name, why in left_out.items():
        console.print(f"left out: {name}: {why}", highlight=False)
    for difference in differs:
        console.print(f"differs beside the code: {difference}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
