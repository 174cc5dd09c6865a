"""How cost grows: the judgement, the table and the plots."""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import pytest
from rich.console import Console

from benchmarks import growth
from benchmarks.build import CannotRun
from benchmarks.growth import AXES, Axis, Grown, draw, point, table
from benchmarks.plot import Point

from .test_report import window

PEOPLE = next(axis for axis in AXES if axis.name == "people")
ROUTES = next(axis for axis in AXES if axis.name == "routes")


def points(*costs: tuple[int, float]) -> list[Point]:
    return [Point(number, cpu_us, 70.0) for number, cpu_us in costs]


@pytest.mark.parametrize(
    ("axis", "measured", "growth_found", "has_failed"),
    [
        pytest.param(ROUTES, points((10, 30.0), (100, 45.0), (1000, 40.0)), 1.5, False, id="peak"),
        pytest.param(ROUTES, points((10, 30.0), (10_000, 60.0)), 2.0, True, id="too dear"),
        pytest.param(
            PEOPLE,
            points((1000, 30.0), (20_000, 100.0), (100_000, 120.0)),
            1.2,
            False,
            id="from the first look-up in each request on",
        ),
        pytest.param(PEOPLE, points((1000, 30.0), (20_000, 100.0)), None, False, id="only one"),
        pytest.param(ROUTES, [], None, False, id="left out"),
    ],
)
def test_growth(
    axis: Axis, measured: list[Point], growth_found: float | None, has_failed: bool
) -> None:
    """The dearest of the judged counts is compared with the first of them."""
    grown = Grown(axis, measured)
    assert grown.growth == (None if growth_found is None else pytest.approx(growth_found))
    assert grown.has_failed is has_failed


def test_point() -> None:
    """The cheapest window counts, and the memory after all of them."""
    windows = [window(cpu_s=1.6), window(cpu_s=0.8, rss_bytes=70 << 20), window(rss_bytes=9 << 20)]
    assert point(10, windows) == pytest.approx((10, 20.0, 9.0))


@pytest.mark.parametrize("changes", [{"unexpected": 1}, {"errors": 1}, {"cpu_s": 0.0}])
def test_wrong_answers_are_no_figures(changes: dict[str, Any]) -> None:
    """A server that refuses is cheap: its cost is not taken for that of a request."""
    with pytest.raises(CannotRun):
        point(10, [window(**changes)])


def test_table() -> None:
    """Each count has a row; the last one has the growth and its bar."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table([Grown(ROUTES, points((10, 30.0), (10_000, 36.0)))]))
    first, last = capture.get().strip().splitlines()[-2:]
    assert "10 routes" in first
    assert "1.20" not in first
    assert all(text in last for text in ("10,000 routes", "36.0", "1.20", "< 2"))


def test_plots(tmp_path: Path) -> None:
    """Each axis that was measured has a file."""
    draw([Grown(ROUTES, points((10, 30.0))), Grown(PEOPLE, [])], tmp_path / "images")
    (file,) = (tmp_path / "images").iterdir()
    assert file.name == "growth-routes.svg"
    assert parse(file).getroot().tag.endswith("svg")


def test_counts_rise() -> None:
    """The first count that is judged is one that is measured, and all come after it."""
    for axis in AXES:
        assert list(axis.counts) == sorted(set(axis.counts))
        assert axis.judged_from == 1 or axis.judged_from in axis.counts


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--rounds", "0"], ["--only", "rows"]])
def test_wrong_options(options: list[str]) -> None:
    """Invalid options end the program with exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        growth.main(options)
