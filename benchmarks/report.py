"""From measurements to what they mean. Pure: numbers in, tables and verdicts out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any, NamedTuple

from rich import box
from rich.table import Table

REFERENCE_RELAY_US = 11.5
"""CPU µs a request of a blind relay on the machine for which the budgets were written."""

MAX_SESSION_US = 45.0
MIN_TIMES_NAIVE = 4.0
MAX_ADDED_MS = 0.3
"""Added latency with a limit in the store; no bar, as it says more about the machine."""

MAX_OTHERS = 0.05
"""How much of the server's core other programs may use before a window counts as disturbed."""

TITLES = {
    "direct": "the app itself",
    "relay": "blind TCP relay, the floor",
    "naive": "naive gateway, session",
    "session": "Gateway, session cookie",
    "bearer": "Gateway, bearer token, cached",
    "refused": "Gateway, no credential: 401",
    "direct-1": "the app itself",
    "relay-1": "blind TCP relay, the floor",
    "naive-1": "naive gateway, session",
    "session-1": "Gateway, session cookie",
}
"""Rows by name, in their order."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One window of one scenario."""

    scenario: str
    connections: int
    requests: int
    seconds: float
    errors: int
    """Connections that broke."""
    unexpected: int
    """Answers with another status than the one that was asked for."""
    p50_us: int
    p99_us: int
    max_us: int
    cpu_s: float | None
    """CPU time of the server in the window; None where it is not the server that is judged."""
    others_s: float
    """CPU time that other programs used meanwhile on the server's core."""
    rss_bytes: int | None

    @property
    def is_disturbed(self) -> bool:
        return self.others_s > MAX_OTHERS * self.seconds

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float | None:
        """CPU time of the server for each request."""
        if self.cpu_s is None or not self.requests:
            return None
        return self.cpu_s / self.requests * 1e6

    @property
    def busy(self) -> float | None:
        """How much of the window the server computed: near 1, it is what limits the rate."""
        return None if self.cpu_s is None else self.cpu_s / self.seconds

    @property
    def cost(self) -> float:
        """What is compared between repeats: CPU time, or wall-clock time where none is judged."""
        if self.cpu_us is None or self.connections == 1:
            return 1e6 / self.per_second if self.requests else inf
        return self.cpu_us


class Row(NamedTuple):
    """All windows of one scenario."""

    best: Measurement
    """The cheapest of those that were not disturbed: noise on a machine only ever adds."""
    spread: float | None
    """By how much the dearest window was dearer, as a share; None if one had no answer at all."""
    failed: int
    """Errors and unexpected statuses in all windows."""


Rows = Mapping[str, Row]


def summarise(measurements: Iterable[Measurement]) -> dict[str, Row]:
    """A row for each scenario, by name."""
    windows: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        windows.setdefault(measurement.scenario, []).append(measurement)
    return {name: _row(windows[name]) for name in TITLES if name in windows}


def _row(windows: Sequence[Measurement]) -> Row:
    best = min(windows, key=lambda window: (window.is_disturbed, window.cost))
    dearest = max(window.cost for window in windows)
    failed = sum(window.errors + window.unexpected for window in windows)
    return Row(best, dearest / best.cost - 1 if isfinite(dearest) else None, failed)


# --- tables ------------------------------------------------------------------------------------


def throughput_table(rows: Rows) -> Table:
    """What requests cost when many come at one time."""
    table = _table(
        "CPU µs a request", "requests/s", "p50 ms", "p99 ms", "× naive", "core busy", "MiB", "±"
    )
    naive = rows.get("naive")
    for name, row in rows.items():
        if row.best.connections > 1:
            table.add_row(_title(name, row), *_throughput(row, naive))
    return table


def _throughput(row: Row, naive: Row | None) -> Iterable[str]:
    best = row.best
    mebibytes = best.rss_bytes / 2**20 if best.rss_bytes else None
    times_naive = best.per_second / naive.best.per_second if naive else None
    return (
        _number(best.cpu_us, ".1f"),
        f"{best.per_second:,.0f}",
        f"{best.p50_us / 1000:.2f}",
        f"{best.p99_us / 1000:.2f}",
        _number(times_naive, ".1f"),
        _number(best.busy, ".0%"),
        _number(mebibytes, ".0f"),
        _number(row.spread, ".0%"),
    )


def latency_table(rows: Rows) -> Table:
    """How long one request takes when nothing else goes on."""
    table = _table("p50 µs", "added p50 µs", "p99 µs", "±")
    for name, row in rows.items():
        if row.best.connections == 1:
            added_us = added_latency_us(rows, name)
            table.add_row(
                _title(name, row),
                f"{row.best.p50_us}",
                "–" if name == "direct-1" else _number(added_us, ".0f"),
                f"{row.best.p99_us}",
                _number(row.spread, ".0%"),
            )
    return table


def _table(*columns: str) -> Table:
    """In Markdown, so that it can be pasted."""
    table = Table(box=box.MARKDOWN)
    table.add_column("one core, small GET", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _title(name: str, row: Row) -> str:
    return TITLES[name] + (f" ({row.failed} failed!)" if row.failed else "")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


# --- verdicts ----------------------------------------------------------------------------------


class Bar(NamedTuple):
    """Something that must be so."""

    demand: str
    found: str
    passed: bool | None
    """None where what it takes was not measured."""


def bars(rows: Rows) -> tuple[Bar, ...]:
    """What the report is judged by."""
    session, refused = cpu_us(rows, "session"), cpu_us(rows, "refused")
    times = ratio(per_second(rows, "session"), per_second(rows, "naive"))
    return (
        Bar(
            f"a session costs at most {MAX_SESSION_US:g} µs of CPU",
            _number(session, ".1f") + " µs" + _scaled(session, machine_factor(rows)),
            None if session is None else session <= MAX_SESSION_US,
        ),
        Bar(
            f"it is served at least {MIN_TIMES_NAIVE:g} × as fast as by the naive gateway",
            _number(times, ".2f") + " ×",
            None if times is None else times >= MIN_TIMES_NAIVE,
        ),
        Bar(
            "a 401 costs less than a forwarded request",
            f"{_number(refused, '.1f')} µs against {_number(session, '.1f')} µs",
            None if refused is None or session is None else refused < session,
        ),
        _nothing_failed(rows),
    )


def _nothing_failed(rows: Rows) -> Bar:
    failed = sum(row.failed for row in rows.values())
    return Bar("every request is answered as it should be", f"{failed} were not", failed == 0)


def _scaled(cost_us: float | None, factor: float | None) -> str:
    if cost_us is None or factor is None:
        return ""
    return f"; {cost_us / factor:.1f} µs on the budgets' machine"


def machine_factor(rows: Rows) -> float | None:
    """How much more a relay costs here than where the budgets were written."""
    return ratio(cpu_us(rows, "relay"), REFERENCE_RELAY_US)


def notes(rows: Rows) -> list[str]:
    """What a reader needs to compare machines."""
    lines = []
    relay_us, factor = cpu_us(rows, "relay"), machine_factor(rows)
    if relay_us is not None and factor is not None:
        lines.append(
            f"this machine: a blind relay costs {relay_us:.1f} µs; the budgets' machine: "
            f"{REFERENCE_RELAY_US} µs → factor {factor:.2f}"
        )
    disturbed = [name for name, row in rows.items() if row.best.is_disturbed]
    if disturbed:
        lines.append(
            "NOT TO BE RELIED ON: other programs used the core of what was measured in every "
            f"window of {', '.join(disturbed)}"
        )
    added_us = added_latency_us(rows, "session-1")
    if added_us is not None:
        lines.append(
            f"added latency, one connection: {added_us / 1000:.2f} ms (budget {MAX_ADDED_MS} ms)"
        )
    return lines


def verdict(bar: Bar) -> str:
    """``bar`` as a line of text."""
    word = {True: "pass", False: "FAIL", None: "not measured"}[bar.passed]
    return f"{word}: {bar.demand}" + ("" if bar.passed is None else f" ({bar.found})")


def has_failed(rows: Rows) -> bool:
    """Whether any bar that was measured was missed."""
    return any(bar.passed is False for bar in bars(rows))


# --- figures -----------------------------------------------------------------------------------


def cpu_us(rows: Rows, name: str) -> float | None:
    """The CPU time of a request, if it was measured."""
    return rows[name].best.cpu_us if name in rows else None


def per_second(rows: Rows, name: str) -> float | None:
    """Requests a second, if they were measured."""
    return rows[name].best.per_second if name in rows else None


def added_latency_us(rows: Rows, name: str) -> float | None:
    """By how much a request takes longer than without anything between."""
    if name not in rows or "direct-1" not in rows:
        return None
    return rows[name].best.p50_us - rows["direct-1"].best.p50_us


def ratio(dividend: float | None, divisor: float | None) -> float | None:
    """None where either is missing, or there is nothing to divide by."""
    return dividend / divisor if dividend is not None and divisor else None


def as_json(measurements: Sequence[Measurement], machine: Mapping[str, Any]) -> dict[str, Any]:
    """All that was measured, for programs."""
    rows = summarise(measurements)
    return {
        "machine": {**machine, "relay_factor": machine_factor(rows)},
        "bars": [bar._asdict() for bar in bars(rows)],
        "best": {
            name: {
                "cpu_us": row.best.cpu_us,
                "per_second": row.best.per_second,
                "spread": row.spread,
            }
            for name, row in rows.items()
        },
        "windows": [asdict(window) for window in measurements],
    }
