"""
Measure how the cost of a request grows with routes, sessions, callers and connections.

    python -m benchmarks.growth --images docs/images

It prints a table, and draws a plot for each.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from benchmarks.build import CannotRun, NotHere
from benchmarks.callers import FEW, LOOK_UPS, Callers, Request
from benchmarks.configs import Variant
from benchmarks.once import raise_descriptors
from benchmarks.plot import Point, plot
from benchmarks.report import markdown_table
from benchmarks.rows import Measurement
from benchmarks.scenarios import Plan, Scenario, measure
from benchmarks.servers import Cores, cores, rig
from benchmarks.terminal import exit_status, machine, report_console, say

_SHORT = 100_000
"""The highest count of the short form."""
_SPARE_DESCRIPTORS = 500
_PRIME_S = 3600.0
"""The longest that all people or callers may take to come once."""
_RATE_SHARE = 0.4
"""Of the most that one can handle, on many connections: as many wait as on few."""


class Axis(NamedTuple):
    """Something that there can be many of."""

    name: str
    title: str
    of: str
    counts: tuple[int, ...]
    request: Callable[[Callers, int], Request]
    bar: float
    """The most that a request may cost, of what it costs with the first count that is judged."""
    judged_from: int = 1
    is_primed: bool = False
    """Whether all of them come once before the windows."""
    is_connections: bool = False


def _fresh(axis: str, count: int, *, is_behind_proxy: bool = False) -> Variant:
    """A gateway of its own for each count, so that its memory is that of the count."""
    return Variant(f"{axis}-{count}", is_behind_proxy=is_behind_proxy)


def _routes(callers: Callers, count: int) -> Request:
    return callers.routes(count)


def _sessions(callers: Callers, count: int) -> Request:
    """Requests of a few people; the store holds sessions of many."""
    callers.sign_in_first(count)
    return callers.browser(FEW, variant=_fresh("sessions", count))


def _people(callers: Callers, count: int) -> Request:
    return callers.browser(count, variant=_fresh("people", count))


def _callers(callers: Callers, count: int) -> Request:
    variant = _fresh("callers", count, is_behind_proxy=True)
    return callers.callers(count=count, variant=variant)


def _connections(callers: Callers, count: int) -> Request:
    raise_descriptors(count + _SPARE_DESCRIPTORS)
    return callers.browser(variant=_fresh("connections", count))


AXES = (
    Axis("routes", "Routes", "routes, every path different", (10, 100, 1000, 10_000), _routes, 2.0),
    Axis(
        "sessions",
        "Sessions in the store",
        f"sessions in the store, {FEW} of them in use",
        (1000, 10_000, 100_000, 1_000_000),
        _sessions,
        1.3,
    ),
    Axis(
        "people",
        "People in turn",
        f"people in turn; from {LOOK_UPS:,} on, each request looks its session up",
        (1000, LOOK_UPS, 100_000, 1_000_000),
        _people,
        1.3,
        judged_from=LOOK_UPS,
        is_primed=True,
    ),
    Axis(
        "callers",
        "Callers with a limit each",
        "addresses in X-Forwarded-For, in turn",
        (10, 100, 10_000, 100_000, 1_000_000),
        _callers,
        1.3,
        is_primed=True,
    ),
    Axis(
        "connections",
        "Keep-alive connections",
        "connections, with the same rate of requests over all",
        (10, 100, 1000, 10_000),
        _connections,
        1.3,
        is_connections=True,
    ),
)


class Grown(NamedTuple):
    """The figures of an axis."""

    axis: Axis
    points: Sequence[Point]

    @property
    def growth(self) -> float | None:
        """The dearest of the judged points, of the first one; None with fewer than two."""
        judged = [each.cpu_us for each in self.points if each.number >= self.axis.judged_from]
        return max(judged) / judged[0] if len(judged) > 1 else None

    @property
    def has_failed(self) -> bool:
        return self.growth is not None and self.growth >= self.axis.bar


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Measure, print and draw; return the exit status.

    0; with ``--check`` 1 if a request grew too dear; 3 if a program did not run.
    """
    options = _options(arguments)
    return exit_status(lambda: _measure_and_show(options))


def _measure_and_show(options: argparse.Namespace) -> int:
    where = cores()
    found = _run(options, where)
    report_console(where).print(table(found))
    if options.images:
        draw(found, options.images)
    if options.json:
        figures = {each.axis.name: [point._asdict() for point in each.points] for each in found}
        text = json.dumps({"machine": machine(where), "growth": figures}, indent=2)
        options.json.write_text(text + "\n", "utf-8")
    return 1 if options.check and any(each.has_failed for each in found) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [axis.name for axis in AXES]
    parser = argparse.ArgumentParser("python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, help=f"of {', '.join(names)}")
    parser.add_argument("--short", action="store_true", help=f"no more than {_SHORT:,} of each")
    parser.add_argument("--seconds", type=float, default=2.0, help="per window (default: 2)")
    parser.add_argument("--rounds", type=int, default=5, help="windows of each (default: 5)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="where to draw the plots")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.rounds < 1:
        parser.error("--seconds must be over 0, --rounds at least 1")
    return options


def _run(options: argparse.Namespace, where: Cores) -> list[Grown]:
    """Measure each axis beside an app and a store of its own."""
    found = []
    for axis in AXES:
        if not options.only or axis.name in options.only:
            with rig(where) as programs:
                points = list(_points(axis, Callers(programs), options, where))
            found.append(Grown(axis, points))
    return found


def _points(
    axis: Axis, callers: Callers, options: argparse.Namespace, where: Cores
) -> Iterator[Point]:
    """Measure an axis, count by count, each with a gateway of its own."""
    rate = None
    for count in axis.counts:
        if options.short and count > _SHORT:
            continue
        say(f"{axis.name}: {count:,}")
        try:
            request = axis.request(callers, count)
        except NotHere as why:
            say(f"left out: {axis.name}: {count:,}: {why}")
            continue
        if axis.is_connections and rate is None:
            rate = _RATE_SHARE * _rate(request, options, where)
        yield _point(axis, count, request, rate, options, where)
        callers.stop()


def _rate(request: Request, options: argparse.Namespace, where: Cores) -> float:
    """Find the most requests a second that are answered."""
    plan = Plan(64, options.seconds, where)
    return measure(Scenario("growth", lambda _: request), request, plan).per_second


def _point(
    axis: Axis,
    count: int,
    request: Request,
    rate: float | None,
    options: argparse.Namespace,
    where: Cores,
) -> Point:
    plan = Plan(count if axis.is_connections else 64, options.seconds, where)
    scenario = Scenario("growth", lambda _: request)
    if axis.is_primed:
        each = request._replace(options=(*request.options, "-m", str(count)))
        measure(scenario, each, plan._replace(seconds=_PRIME_S))
    windows = [measure(scenario, request, plan, rate) for _ in range(options.rounds)]
    return point(count, windows)


def point(count: int, windows: Sequence[Measurement]) -> Point:
    """
    Take the cheapest window, and the memory at the end.

    Raises `CannotRun` for wrong answers, and for windows that were too short to count a tick.
    """
    failed = sum(window.errors + window.unexpected for window in windows)
    costs = [window.cpu_us for window in windows if window.cpu_us is not None]
    if failed:
        raise CannotRun(f"with {count:,}, {failed} requests were not answered as they should be")
    if not costs:
        raise CannotRun(f"with {count:,}, no window has CPU time: --seconds is too short")
    return Point(count, min(costs), (windows[-1].rss_bytes or 0) / 2**20)


def table(found: Sequence[Grown]) -> Table:
    """Make the table of the report."""
    made = markdown_table("a request, with …", "CPU µs", "MiB", "dearest of first", "bar")
    for grown in found:
        for at, one in enumerate(grown.points):
            is_last = at == len(grown.points) - 1
            ratio = f"{grown.growth:.2f}" if is_last and grown.growth is not None else ""
            bar = f"< {grown.axis.bar:g}" if ratio else ""
            title = f"{one.number:,} {grown.axis.of.partition(';')[0]}"
            made.add_row(title, f"{one.cpu_us:.1f}", f"{one.mib:.0f}", ratio, bar)
    return made


def draw(found: Sequence[Grown], directory: Path) -> None:
    """Draw a plot for each axis."""
    directory.mkdir(parents=True, exist_ok=True)
    for axis, points in found:
        if points:
            text = plot(axis.title, axis.of, points)
            (directory / f"growth-{axis.name}.svg").write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
