"""
Bars for the figures: the budgets of the design, and required orders between rows. Pure.

Budgets of time were written on a reference machine. They are scaled by the cost of a blind relay on
this machine relative to that one; without the relay's row, they are not scaled.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from benchmarks.rows import Rows, added_latency_us, cpu_us, p99_ms, per_second, ratio

REFERENCE_RELAY_US = 11.5
"""CPU µs a request of a blind relay on the reference machine."""


class Results(NamedTuple):
    """All measurements of a run."""

    rows: Rows
    figures: Mapping[str, float]
    """Figures that are measured once, by name; see `FIGURES`."""


FIGURES = {
    "idle_kib": "memory of an idle keep-alive connection, KiB",
    "idle_mib": "memory of the whole process with 10 000 of them, MiB",
    "grown_down_mib": "memory that 1 GiB down adds, MiB",
    "grown_up_mib": "memory that 1 GiB up adds, MiB",
    "start_s": "start to ready, s",
    "start_10000_s": "start to ready with 10 000 routes, s",
    "routing_10_ns": "to route a request, 10 routes, ns",
    "routing_10000_ns": "to route a request, 10 000 routes, ns",
}
"""Titles of the single figures."""


class Bar(NamedTuple):
    """A requirement, and whether it is met."""

    demand: str
    found: str
    passed: bool | None
    """None if a measurement that it needs is missing."""


class Rivalry(NamedTuple):
    """A row, and the row of nginx with Lua that does the same."""

    row: str
    title: str
    limit: float
    """The most that ours may be of the rival's."""
    figure: Callable[[Rows, str], float | None] = cpu_us

    def figures(self, rows: Rows) -> tuple[float | None, float | None]:
        """Return our figure and the rival's."""
        return self.figure(rows, self.row), self.figure(rows, f"rival-{self.row}")


RIVALRIES = (
    Rivalry("browser", "all different: fields of a browser, 200 sessions", 1.15),
    Rivalry("answers", "the same, and the answers differ", 1.25),
    Rivalry("callers", "all different, 10 000 callers with a limit each", 1.6),
    Rivalry("look-ups", "all different, a session look-up in each request", 1.6),
    Rivalry("post-10k-browser", "all different, POST of 10 KiB", 1.3),
    Rivalry("lean", "200 sessions, no other field", 1.05),
    Rivalry("session", "the same head again and again", 0.9),
    Rivalry("refused", "401 without a credential", 2.0),
    Rivalry("tls", "TLS 1.3, keep-alive; nginx without authentication", 1.8),
    Rivalry("open-60", "p99 in ms, all different, at 60 % of the most", 1.2, p99_ms),
)
"""The limits are those of the design; what is measured is CPU time, unless the title says else."""


def bars(results: Results) -> tuple[Bar, ...]:
    """List all bars, with their verdicts."""
    return (
        *_budgets_of_requests(results.rows),
        *_budgets_of_figures(results),
        *_orders(results.rows),
        *_beside_the_rival(results.rows),
        _nothing_failed(results.rows),
    )


def _budgets_of_requests(rows: Rows) -> tuple[Bar, ...]:
    factor, naive = machine_factor(rows), per_second(rows, "naive")
    hot, strict = added_ms(rows, "session-1"), added_ms(rows, "strict-1")
    return (
        _scaled("a session costs at most {} of CPU", cpu_us(rows, "session"), 45, "µs", factor),
        _at_least(
            "it is served at least {} as fast as by the naive gateway",
            ratio(per_second(rows, "session"), naive),
            4,
        ),
        _at_least(
            "so it is with every head different, at least {}",
            ratio(per_second(rows, "varied"), naive),
            4,
        ),
        _scaled("it adds at most {} to a request, p50, one connection", hot, 0.15, "ms", factor),
        _scaled("so does a strict limit, at most {}", strict, 0.3, "ms", factor),
        _scaled(
            "a strict limit adds at most {} of CPU to one that is not",
            _more(cpu_us(rows, "strict"), cpu_us(rows, "session")),
            12,
            "µs",
            factor,
        ),
        _scaled(
            "a strict limit adds at most {} to one that is not",
            _more(strict, hot),
            0.15,
            "ms",
            factor,
        ),
    )


def _more(figure: float | None, than: float | None) -> float | None:
    return None if figure is None or than is None else figure - than


def _budgets_of_figures(results: Results) -> tuple[Bar, ...]:
    figures, factor = results.figures, machine_factor(results.rows)
    routing = ratio(figures.get("routing_10000_ns"), figures.get("routing_10_ns"))
    start = "start to ready takes at most {}"
    return (
        _at_most("an idle connection takes at most {}", figures.get("idle_kib"), 8, "KiB"),
        _at_most("10 000 of them take at most {} in all", figures.get("idle_mib"), 150, "MiB"),
        _at_most("1 GiB down adds at most {}", figures.get("grown_down_mib"), 8, "MiB"),
        _at_most("1 GiB up adds at most {}", figures.get("grown_up_mib"), 8, "MiB"),
        _at_most("10 000 routes cost at most {} what 10 cost", routing, 2, "×"),
        _scaled(start, figures.get("start_s"), 2, "s", factor),
        _scaled(f"{start} with 10 000 routes", figures.get("start_10000_s"), 2, "s", factor),
    )


def _orders(rows: Rows) -> tuple[Bar, ...]:
    """Compare rows with each other, where no budget gives a figure."""
    session = cpu_us(rows, "session")
    bodies = [
        _at_least(
            f"{size} {way} go at least {{}} as fast as through the naive gateway",
            ratio(
                per_second(rows, f"{name}-{short}-session"),
                per_second(rows, f"{name}-{short}-naive"),
            ),
            1,
        )
        for short, size in (("10k", "10 KiB"), ("1m", "1 MiB"))
        for name, way in (("get", "down"), ("post", "up"))
    ]
    return (
        _less("a 401 costs less than a forwarded request", cpu_us(rows, "refused"), session),
        _less("a 429 costs less than a forwarded request", cpu_us(rows, "limited"), session),
        _less("a message costs less than a request", cpu_us(rows, "ws"), session),
        *bodies,
        _at_most(
            "TLS costs at most {} a plain request", ratio(cpu_us(rows, "tls"), session), 2, "×"
        ),
        _at_least(
            "two workers serve at least {} what one serves, load and app on the same two cores",
            ratio(per_second(rows, "workers-2"), per_second(rows, "workers-1")),
            1.2,
        ),
        _at_most(
            "with two workers, a request costs at most {} what it costs with one",
            ratio(cpu_us(rows, "workers-2"), cpu_us(rows, "workers-1")),
            1.1,
            "×",
        ),
    )


def _beside_the_rival(rows: Rows) -> Iterator[Bar]:
    """Compare rows with those of nginx with Lua."""
    for rivalry in RIVALRIES:
        demand = f"beside nginx with Lua, {rivalry.title}: at most {{}}"
        yield _at_most(demand, ratio(*rivalry.figures(rows)), rivalry.limit, "×")


def _nothing_failed(rows: Rows) -> Bar:
    failed = sum(row.failed for row in rows.values())
    return Bar("every request is answered as it should be", f"{failed} were not", failed == 0)


def _at_most(demand: str, found: float | None, limit: float, unit: str) -> Bar:
    passed = None if found is None else found <= limit
    return Bar(demand.format(f"{limit:g} {unit}"), f"{_number(found)} {unit}", passed)


def _at_least(demand: str, found: float | None, limit: float) -> Bar:
    passed = None if found is None else found >= limit
    return Bar(demand.format(f"{limit:g} ×"), f"{_number(found)} ×", passed)


def _less(demand: str, found: float | None, limit: float | None) -> Bar:
    passed = None if found is None or limit is None else found < limit
    return Bar(demand, f"{_number(found)} µs against {_number(limit)} µs", passed)


def _scaled(demand: str, found: float | None, limit: float, unit: str, factor: float | None) -> Bar:
    there = ratio(found, factor or 1)
    bar = _at_most(demand, there, limit, unit)
    if factor is None or found is None:
        return bar
    return bar._replace(found=f"{_number(found)} {unit} here; on the reference machine {bar.found}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def machine_factor(rows: Rows) -> float | None:
    """Cost of a relay on this machine relative to the reference machine."""
    return ratio(cpu_us(rows, "relay"), REFERENCE_RELAY_US)


def added_ms(rows: Rows, name: str) -> float | None:
    """Convert `added_latency_us` to milliseconds."""
    return ratio(added_latency_us(rows, name), 1000)


def verdict(bar: Bar) -> str:
    """Write ``bar`` as a line of text."""
    word = {True: "pass", False: "FAIL", None: "not measured"}[bar.passed]
    return f"{word}: {bar.demand}" + ("" if bar.passed is None else f" ({bar.found})")


def has_failed(results: Results) -> bool:
    """Whether any bar that was measured was missed."""
    return any(bar.passed is False for bar in bars(results))
