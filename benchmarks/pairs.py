"""Statistics and report of paired windows: one gateway against another. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from math import comb
from statistics import median
from typing import Any, NamedTuple, TypeVar

from rich.table import Table

from benchmarks.report import markdown_table
from benchmarks.rows import ENTRIES, Measurement

_Side = TypeVar("_Side")

CONFIDENCE = 0.95
MIN_PAIRS = 6
"""With fewer, even the smallest and the largest ratio enclose the median with less than 95 %."""
TOLERANCE = 0.03
"""Accepted increase of the cost of a request."""


class Pair(NamedTuple):
    """Two windows of one row, seconds apart."""

    base: Measurement
    here: Measurement

    @property
    def ratio(self) -> float | None:
        """CPU time of a request here, divided by that in base; None if one was not measured."""
        if self.base.cpu_us is None or self.here.cpu_us is None:
            return None
        return self.here.cpu_us / self.base.cpu_us

    @property
    def is_disturbed(self) -> bool:
        return self.base.is_disturbed or self.here.is_disturbed

    @property
    def failed(self) -> int:
        """Requests that were not answered as they should be."""
        return sum(each.errors + each.unexpected for each in self)


def in_order(sides: tuple[_Side, _Side], number: int) -> tuple[_Side, _Side]:
    """Order the sides for pair ``number``: the order is reversed from pair to pair."""
    first, second = sides
    return (first, second) if number % 2 == 0 else (second, first)


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """
    95 % confidence interval of the median, by order statistics.

    The k-th smallest and the k-th greatest of n independent values enclose the median of their
    distribution with a probability of 1 - 2 P(X < k), X being binomial with n and 1/2. No shape of
    the distribution is assumed. k is the greatest for which that is at least `CONFIDENCE`; None
    for fewer than `MIN_PAIRS` values.
    """
    ordered, count = sorted(values), len(values)
    enclosing = [k for k in range(1, count // 2 + 1) if _coverage(count, k) >= CONFIDENCE]
    if not enclosing:
        return None
    k = enclosing[-1]
    return ordered[k - 1], ordered[-k]


def _coverage(count: int, k: int) -> float:
    """The probability that the k-th value from either end encloses the median."""
    return 1 - 2 * sum(comb(count, below) for below in range(k)) / 2**count


class Verdict(Enum):
    """Whether the pairs of a row show that a request costs at most 3 % more."""

    WITHIN = "within 3 %"
    UNDECIDED = "undecided: more pairs"
    WORSE = "WORSE"
    FAILED = "FAILED"


class Comparison(NamedTuple):
    """All pairs of one row."""

    name: str
    base_us: float | None
    """Median CPU time of a request, in microseconds."""
    here_us: float | None
    ratio: float | None
    """Median of the ratios of the pairs. It need not be the ratio of the medians."""
    interval: tuple[float, float] | None
    pairs: int
    disturbed: int
    """Pairs in which other programs used the measured core."""
    failed: int

    @property
    def verdict(self) -> Verdict:
        """
        Judge the interval against the tolerance.

        `Verdict.WORSE` needs both: a median over the tolerance, and an interval above 1.
        `Verdict.WITHIN` needs an interval that ends below the tolerance.
        """
        if self.failed:
            return Verdict.FAILED
        if self.ratio is None or self.interval is None:
            return Verdict.UNDECIDED
        low, high = self.interval
        if high <= 1 + TOLERANCE:
            return Verdict.WITHIN
        if self.ratio > 1 + TOLERANCE and low > 1:
            return Verdict.WORSE
        return Verdict.UNDECIDED


def compare(name: str, pairs: Sequence[Pair]) -> Comparison:
    """Summarise ``pairs`` of the row ``name``."""
    ratios = [pair.ratio for pair in pairs if pair.ratio is not None]
    return Comparison(
        name,
        _median([pair.base.cpu_us for pair in pairs]),
        _median([pair.here.cpu_us for pair in pairs]),
        _median(ratios),
        interval(ratios),
        len(ratios),
        sum(pair.is_disturbed for pair in pairs),
        sum(pair.failed for pair in pairs),
    )


def _median(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return median(measured) if measured else None


def has_failed(comparisons: Sequence[Comparison]) -> bool:
    """Whether a row is worse, or had wrong answers."""
    return any(each.verdict in {Verdict.WORSE, Verdict.FAILED} for each in comparisons)


def table(comparisons: Sequence[Comparison]) -> Table:
    """Make a table with a line for each row."""
    made = markdown_table(
        "CPU µs a request", "base", "here", "ratio", "95 %", "pairs", "disturbed", "verdict"
    )
    for each in comparisons:
        low, high = each.interval or (None, None)
        made.add_row(
            f"`{each.name}` {ENTRIES[each.name].title.removeprefix('Gateway, ')}",
            _number(each.base_us, ",.1f"),
            _number(each.here_us, ",.1f"),
            _number(each.ratio, ".3f"),
            f"{_number(low, '.3f')} – {_number(high, '.3f')}",
            f"{each.pairs}",
            f"{each.disturbed}",
            each.verdict.value + (f" ({each.failed} wrong answers)" if each.failed else ""),
        )
    return made


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def as_json(
    pairs: Mapping[str, Sequence[Pair]], machine: Mapping[str, Any], differs: Sequence[str]
) -> dict[str, Any]:
    """Convert all measurements to JSON; the windows of a row stand in pairs, in run order."""
    comparisons = [compare(name, measured) for name, measured in pairs.items()]
    return {
        "machine": dict(machine),
        "differences": list(differs),
        "rows": {
            each.name: {**each._asdict(), "verdict": each.verdict.name} for each in comparisons
        },
        "pairs": {
            name: [{"base": asdict(each.base), "here": asdict(each.here)} for each in measured]
            for name, measured in pairs.items()
        },
    }
