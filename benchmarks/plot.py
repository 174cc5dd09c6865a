"""A plot of cost and memory as SVG. Pure."""

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 570, 60, 280
_TICKS = 4
_HEAD = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
    f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">'
)
_CPU, _MEMORY = "#1f5fbf", "#b3541e"


class Point(NamedTuple):
    """What a request costs where there are so many of something."""

    number: int
    cpu_us: float
    mib: float


def plot(title: str, of: str, points: Sequence[Point]) -> str:
    """
    Draw CPU time and memory over the logarithm of the numbers.

    Both scales begin at 0, so that a line that looks flat is flat.
    """
    lines = [
        _HEAD,
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_WIDTH / 2, 24, title, "middle", size=15),
        *_frame(of, points),
        *_series([point.cpu_us for point in points], points, _LEFT, "CPU µs a request", _CPU),
        *_series([point.mib for point in points], points, _RIGHT, "memory, MiB", _MEMORY),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _frame(of: str, points: Sequence[Point]) -> Iterator[str]:
    for tick in range(_TICKS + 1):
        y = _y(tick / _TICKS)
        yield f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="#d8d8d8"/>'
    for point in points:
        yield _text(_x(point.number, points), _BOTTOM + 20, f"{point.number:,}", "middle")
    yield _text(_WIDTH / 2, _BOTTOM + 44, of, "middle")


def _series(
    values: Sequence[float], points: Sequence[Point], side: int, name: str, colour: str
) -> Iterator[str]:
    """Draw a line with its scale on the ``side`` of the plot."""
    top = scale(max(values))
    anchor, gap = ("end", -8) if side == _LEFT else ("start", 8)
    yield _text(side, _TOP - 14, name, "start" if side == _LEFT else "end", colour)
    for tick in range(_TICKS + 1):
        y = _y(tick / _TICKS) + 4
        yield _text(side + gap, y, f"{top * tick / _TICKS:g}", anchor, colour)
    places = [
        (_x(point.number, points), _y(value / top))
        for point, value in zip(points, values, strict=True)
    ]
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y in places:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'


def scale(highest: float) -> float:
    """Choose the end of a scale from 0: the next of 1, 2, 4, 6 and 8 times a power of ten."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** floor(log10(highest))
    digit = ceil(highest / power)
    return power * next(step for step in (1, 2, 4, 6, 8, 10) if step >= digit)


def _x(number: int, points: Sequence[Point]) -> float:
    """Place a number between the first and the last one, which have a margin."""
    first, last = log10(points[0].number), log10(points[-1].number)
    share = (log10(number) - first) / (last - first) if last > first else 0.5
    return _LEFT + 30 + share * (_RIGHT - _LEFT - 60)


def _y(share: float) -> float:
    return _BOTTOM - share * (_BOTTOM - _TOP)


def _text(
    x: float, y: float, text: str, anchor: str, colour: str = "#222222", size: int = 13
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
        f' font-size="{size}">{escape(text)}</text>'
    )
