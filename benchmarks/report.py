"""Report of a run: tables, notes and JSON. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.bars import (
    FIGURES,
    REFERENCE_RELAY_US,
    RIVALRIES,
    Results,
    bars,
    machine_factor,
)
from benchmarks.rows import (
    ENTRIES,
    Group,
    Measurement,
    Row,
    Rows,
    added_latency_us,
    cpu_us,
    ratio,
    summarise,
)

_Cells = Iterable[str]


def tables(results: Results) -> list[Table]:
    """Make the tables of the report, without empty ones."""
    made = [table_of(group, results.rows) for group in Group]
    every = (rivalry_table(results.rows), *made, figures_table(results))
    return [table for table in every if table.row_count]


def rivalry_table(rows: Rows) -> Table:
    """Make the table of the gateway beside nginx with Lua."""
    table = markdown_table(
        "one core, CPU µs a request", "Gateway", "nginx with Lua", "ratio", "bar"
    )
    for rivalry in RIVALRIES:
        ours, rivals = rivalry.figures(rows)
        found = ratio(ours, rivals)
        if found is not None:
            figures = _number(ours, ",.1f"), _number(rivals, ",.1f"), f"{found:.2f}"
            table.add_row(rivalry.title, *figures, f"≤ {rivalry.limit:.2f}")
    return table


def summary_table(rows: Rows) -> Table:
    """Make the table of the README: requests that differ first, then the rest, then the others."""
    columns = ("CPU µs a request", "× nginx with Lua", "requests/s", "p50 ms", "p99 ms")
    table = markdown_table("one core", *columns)
    ratios = {rivalry.row: ratio(*rivalry.figures(rows)) for rivalry in RIVALRIES}
    for name, title in _SUMMARY.items():
        if name in rows:
            best = rows[name].best
            table.add_row(
                title,
                _number(best.cpu_us, ".1f"),
                _number(ratios.get(name), ".2f"),
                f"{best.per_second:,.0f}",
                f"{best.p50_us / 1000:.2f}",
                f"{best.p99_us / 1000:.2f}",
            )
    return table


_HONEST = tuple(name for name, entry in ENTRIES.items() if entry.group is Group.HONEST)
_MORE = ("session", "bearer", "refused", "limited", "tls", "relay", "naive", "direct")
_SUMMARY = {
    **{name: ENTRIES[name].title for name in (*_HONEST, *_MORE)},
    "tls": "Gateway, session cookie, TLS 1.3",
    "rival-browser": "nginx with Lua, all different",
}
"""Titles of the rows of the README, in their order."""


def table_of(group: Group, rows: Rows) -> Table:
    """Make the table of one group of rows."""
    columns, cells = _FORMS.get(group, _THROUGHPUT)
    table = markdown_table(group.value, *columns)
    for name, row in rows.items():
        if ENTRIES[name].group is group:
            table.add_row(_title(name, row), *cells(name, rows))
    return table


def _throughput(name: str, rows: Rows) -> _Cells:
    """Cost of requests on many connections."""
    best, naive = rows[name].best, rows.get("naive")
    times_naive = best.per_second / naive.best.per_second if naive else None
    return (
        _number(best.cpu_us, ".1f"),
        f"{best.per_second:,.0f}",
        f"{best.p50_us / 1000:.2f}",
        f"{best.p99_us / 1000:.2f}",
        _number(times_naive, ".1f"),
        *_end(rows[name]),
    )


def _messages(name: str, rows: Rows) -> _Cells:
    """Cost of messages in tunnels."""
    cells = tuple(_throughput(name, rows))
    return *cells[:4], *_end(rows[name])


def _bodies(name: str, rows: Rows) -> _Cells:
    best = rows[name].best
    naive = rows.get(name.rpartition("-")[0] + "-naive")
    times_naive = best.per_second / naive.best.per_second if naive else None
    return (
        _number(best.cpu_us, ",.0f"),
        f"{best.per_second:,.0f}",
        f"{best.megabytes_per_second:,.0f}",
        _number(times_naive, ".1f"),
        *_end(rows[name]),
    )


def _end(row: Row) -> _Cells:
    best = row.best
    mebibytes = best.rss_bytes / 2**20 if best.rss_bytes else None
    return _number(best.busy, ".0%"), _number(mebibytes, ".0f"), _number(row.spread, ".0%")


def _latency(name: str, rows: Rows) -> _Cells:
    """Latency of requests on one connection."""
    row = rows[name]
    added = "–" if name == "direct-1" else _number(added_latency_us(rows, name), ".0f")
    return f"{row.best.p50_us}", added, f"{row.best.p99_us}", _number(row.spread, ".0%")


_THROUGHPUT: tuple[tuple[str, ...], Callable[[str, Rows], _Cells]] = (
    ("CPU µs a request", "requests/s", "p50 ms", "p99 ms", "× naive", "core busy", "MiB", "±"),
    _throughput,
)
_FORMS: Mapping[Group, tuple[tuple[str, ...], Callable[[str, Rows], _Cells]]] = {
    Group.BODIES: (
        ("CPU µs a request", "requests/s", "MB/s", "× naive", "core busy", "MiB", "±"),
        _bodies,
    ),
    Group.TUNNELS: (
        ("CPU µs a message", "messages/s", "p50 ms", "p99 ms", "core busy", "MiB", "±"),
        _messages,
    ),
    Group.ALONE: (("p50 µs", "added p50 µs", "p99 µs", "±"), _latency),
}


def figures_table(results: Results) -> Table:
    """Make the table of the single figures."""
    table = markdown_table("once", "")
    for name, title in FIGURES.items():
        if name in results.figures:
            table.add_row(title, f"{results.figures[name]:.3g}")
    return table


def markdown_table(head: str, *columns: str) -> Table:
    """Make an empty table in Markdown, so that it can be pasted."""
    table = Table(box=box.MARKDOWN)
    table.add_column(head, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _title(name: str, row: Row) -> str:
    return ENTRIES[name].title + (f" ({row.failed} failed!)" if row.failed else "")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def notes(results: Results) -> list[str]:
    """List what a reader needs to compare machines, and doubtful rows."""
    rows, lines = results.rows, []
    relay_us, factor = cpu_us(rows, "relay"), machine_factor(rows)
    if relay_us is not None and factor is not None:
        lines.append(
            f"this machine: a blind relay costs {relay_us:.1f} µs; the reference machine: "
            f"{REFERENCE_RELAY_US} µs → factor {factor:.2f}"
        )
    varied = ratio(cpu_us(rows, "varied"), cpu_us(rows, "session"))
    if varied is not None:
        lines.append(f"caches of whole heads save a factor of {varied:.2f}")
    disturbed = [name for name, row in rows.items() if row.best.is_disturbed]
    if disturbed:
        lines.append(
            "NOT RELIABLE: other programs used the measured core in every window of "
            f"{', '.join(disturbed)}"
        )
    return lines


def as_json(
    measurements: Sequence[Measurement], figures: Mapping[str, float], machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Convert all measurements to JSON."""
    results = Results(summarise(measurements), figures)
    return {
        "machine": {**machine, "relay_factor": machine_factor(results.rows)},
        "bars": [bar._asdict() for bar in bars(results)],
        "figures": dict(figures),
        "best": {
            name: {
                "cpu_us": row.best.cpu_us,
                "per_second": row.best.per_second,
                "megabytes_per_second": row.best.megabytes_per_second,
                "spread": row.spread,
            }
            for name, row in results.rows.items()
        },
        "windows": [asdict(window) for window in measurements],
    }
