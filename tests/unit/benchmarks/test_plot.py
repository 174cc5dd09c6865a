"""Plots as SVG."""

from xml.etree.ElementTree import fromstring

import pytest

from benchmarks.plot import Point, plot, scale

_SVG = "{http://www.w3.org/2000/svg}"
POINTS = [Point(10, 30.0, 60.0), Point(1000, 30.0, 80.0), Point(100_000, 60.0, 120.0)]


def lines_of(text: str) -> list[list[tuple[float, float]]]:
    """The corners of the lines of a plot."""
    drawn = fromstring(text).iter(f"{_SVG}polyline")
    return [
        [(float(x), float(y)) for x, y in (corner.split(",") for corner in corners)]
        for corners in (str(line.get("points")).split() for line in drawn)
    ]


def test_lines() -> None:
    """Cost and memory are lines over the same places, which are even for powers of a hundred."""
    cpu, memory = lines_of(plot("Routes", "routes", POINTS))
    assert [x for x, _ in cpu] == [x for x, _ in memory]
    assert cpu[1][0] - cpu[0][0] == pytest.approx(cpu[2][0] - cpu[1][0])
    assert cpu[0][1] == cpu[1][1] > cpu[2][1]


def test_scales_begin_at_zero() -> None:
    """Twice the cost is twice as high above the bottom, so that growth looks as it is."""
    (cpu, _) = lines_of(plot("Routes", "routes", POINTS))
    bottom = 280
    assert bottom - cpu[2][1] == pytest.approx(2 * (bottom - cpu[0][1]))


def test_texts_are_escaped() -> None:
    """Title and unit are text, also with the signs of XML."""
    root = fromstring(plot("a < b", "c & d", POINTS))
    texts = [each.text for each in root.iter(f"{_SVG}text")]
    assert {"a < b", "c & d", "10", "1,000", "100,000"} <= set(texts)


def test_one_point() -> None:
    """A single measurement is a plot with one place."""
    assert [len(line) for line in lines_of(plot("a", "b", POINTS[:1]))] == [1, 1]


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(0.0, 1.0), (0.7, 0.8), (9.1, 10.0), (10.0, 10.0), (43.0, 60.0), (120.0, 200.0)],
)
def test_scale(highest: float, expected: float) -> None:
    """A scale ends at a round number, which is not less than the highest value."""
    assert scale(highest) == pytest.approx(expected)
