"""Figures of a run in the pages that show them."""

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.build import HERE
from benchmarks.report import markdown_table
from benchmarks.write import PAGES, as_markdown, renewed, tables

from .test_report import window


def measured(directory: Path) -> list[str]:
    """The tables of a run of two rows, with growth and parts."""
    windows = [
        asdict(window(name)) for name in ("browser", "rival-browser", "workers-1", "session")
    ]
    growth = {"routes": [{"number": 10, "cpu_us": 30.0, "mib": 60.0}]}
    where = {"row": "browser", "costs_us": {"headers": 9.0, "routing": 1.0}}
    for name, figures in (
        ("rows", {"windows": windows}),
        ("growth", {"growth": growth}),
        ("where", where),
    ):
        (directory / f"{name}.json").write_text(json.dumps(figures))
    return [as_markdown(table) for table in tables(directory)]


def test_a_table_in_markdown() -> None:
    """Cells have no padding: a header is the same whatever stands below it."""
    table = markdown_table("row", "µs")
    table.add_row("a long title", "1")
    assert as_markdown(table) == "| row | µs |\n|---|---|\n| a long title | 1 |\n"


def test_tables_of_a_run(tmp_path: Path) -> None:
    """What was measured has its table: the summary, nginx, workers, growth and parts."""
    summary, rivals, workers, growth, where = measured(tmp_path)
    assert "| Gateway, all different: fields of a browser, 200 sessions | 40.0 | 1.00 |" in summary
    assert "| nginx with Lua, all different | 40.0 | – |" in summary
    assert rivals.count("\n") == 3
    assert "| one worker | 40.0 |" in workers
    assert "| 10 routes, every path different | 30.0 | 60 |" in growth
    assert "| headers | 9.0 | 90% |" in where


def test_what_was_not_measured_stays(tmp_path: Path) -> None:
    """Without figures, no table has rows, and the page keeps those of the run before."""
    assert all(table.row_count == 0 for table in tables(tmp_path))


def test_a_page_is_renewed() -> None:
    """The table with the same header is replaced; the text around it, and others, stay."""
    page = "a\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\nb\n\n| z |\n|---|\n| 3 |\n"
    made = ["| x | y |\n|---|---|\n| 5 | 6 |\n| 7 | 8 |\n", "| w |\n|---|\n| 9 |\n"]
    expected = "a\n\n| x | y |\n|---|---|\n| 5 | 6 |\n| 7 | 8 |\n\nb\n\n| z |\n|---|\n| 3 |\n"
    assert renewed(page, made) == expected


def test_the_pages_show_all_tables(tmp_path: Path) -> None:
    """Each table has its place on a page, so that a run renews all of them."""
    pages = "".join((HERE.parent / name).read_text("utf-8") for name in PAGES).splitlines()
    headers = [table.partition("\n")[0] for table in measured(tmp_path)]
    assert [] == [header for header in headers if header not in pages]
