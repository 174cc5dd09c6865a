"""
Write the tables of a run into the pages that show them.

    python -m benchmarks.write DIRECTORY

DIRECTORY holds what the programs wrote by ``--json``: rows.json, growth.json and where.json. What
is missing there leaves its tables as they are; `make bench-figures` makes all of it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import growth, report, where
from benchmarks.build import HERE
from benchmarks.plot import Point
from benchmarks.rows import Group, Measurement, Rows, summarise
from tools.write_tables import with_table

PAGES = ("README.md", "docs/performance.md")


def as_markdown(table: Table) -> str:
    """Write ``table`` without padding, so that its header is the same in each run."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    lines = [f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)]
    rule = "|".join("---" for _ in columns)
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]]) + "\n"


def tables(directory: Path) -> Iterator[Table]:
    """Make the tables for which there are figures."""
    rows = summarise(Measurement(**each) for each in _read(directory, "rows").get("windows", ()))
    yield from _tables_of(rows)
    grown = _read(directory, "growth").get("growth", {})
    found = [
        growth.Grown(axis, [Point(**point) for point in grown[axis.name]])
        for axis in growth.AXES
        if axis.name in grown
    ]
    yield growth.table(found)
    spent = _read(directory, "where")
    if spent:
        yield where.table(spent["row"], spent["costs_us"])


def _tables_of(rows: Rows) -> tuple[Table, ...]:
    workers = report.table_of(Group.WORKERS, rows)
    return report.summary_table(rows), report.rivalry_table(rows), workers


def _read(directory: Path, name: str) -> dict[str, Any]:
    file = directory / f"{name}.json"
    read: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return read


def renewed(text: str, made: list[str]) -> str:
    """Replace the tables of a page that have the header of one that was made."""
    lines = text.splitlines()
    for table in made:
        if table.partition("\n")[0] in lines:
            text = with_table(text, table)
    return text


def main() -> int:
    """Write the tables; return the exit status."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    made = [as_markdown(table) for table in tables(Path(sys.argv[1])) if table.row_count]
    for name in PAGES:
        page = HERE.parent / name
        page.write_text(renewed(page.read_text("utf-8"), made), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
