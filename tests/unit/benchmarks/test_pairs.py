"""Statistics and verdicts of pairs of windows."""

import json
from typing import Any

import pytest
from rich.console import Console

from benchmarks import pairs
from benchmarks.pairs import Comparison, Pair, Verdict
from benchmarks.rows import Measurement


def window(cpu_us: float = 40.0, **changes: Any) -> Measurement:
    """Make a window of two seconds in which each of 40 000 requests took ``cpu_us``."""
    figures: dict[str, Any] = {
        "connections": 64,
        "requests": 40_000,
        "seconds": 2.0,
        "errors": 0,
        "unexpected": 0,
        "body_bytes": 1_080_000,
        "p50_us": 1000,
        "p99_us": 2000,
        "max_us": 3000,
        "cpu_s": cpu_us * 40_000 / 1e6,
        "others_s": 0.0,
        "rss_bytes": 50 << 20,
    }
    return Measurement("session", **(figures | changes))


def compared(*ratios: float) -> Comparison:
    """Summarise pairs with these ratios."""
    return pairs.compare("session", [Pair(window(), window(40.0 * ratio)) for ratio in ratios])


def shown(comparison: Comparison) -> str:
    """Print the line of the table, without extra spaces."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(pairs.table([comparison]))
    (line,) = (line for line in capture.get().splitlines() if comparison.name in line)
    return " ".join(line.split())


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        pytest.param(6, 1, 6, id="the fewest: the extremes"),
        pytest.param(8, 1, 8, id="still the extremes"),
        pytest.param(9, 2, 8, id="9"),
        pytest.param(10, 2, 9, id="10"),
        pytest.param(15, 4, 12, id="15"),
        pytest.param(20, 6, 15, id="20"),
        pytest.param(25, 8, 18, id="25"),
        pytest.param(30, 10, 21, id="30"),
    ],
)
def test_interval(count: int, low: int, high: int) -> None:
    """The ranks are those of published tables for the 95 % interval of a median."""
    values = [float(rank) for rank in range(count, 0, -1)]
    assert pairs.interval(values) == (low, high)


def test_too_few_pairs_for_an_interval() -> None:
    """Five values lie on one side of the median in one of 16 cases, so they give no 95 %."""
    assert pairs.interval([1.0] * (pairs.MIN_PAIRS - 1)) is None
    assert compared(1.5, 1.5).verdict is Verdict.UNDECIDED


def test_one_outlier_moves_neither_median_nor_interval() -> None:
    """A disturbance of one window does not change the result."""
    calm = compared(*[0.99, 1.0, 1.0, 1.01] * 3)
    stormy = compared(*[0.99, 1.0, 1.0, 1.01] * 2, 0.99, 1.0, 1.0, 3.0)
    assert stormy.ratio == pytest.approx(1.0)
    assert stormy.interval == pytest.approx(calm.interval)


def test_ratios_are_taken_within_pairs() -> None:
    """A machine that slows down during the run affects both sides of a pair."""
    found = pairs.compare("session", [Pair(window(us), window(1.1 * us)) for us in range(30, 60)])
    assert found.base_us == pytest.approx(44.5)
    assert found.here_us == pytest.approx(48.95)
    assert found.interval == pytest.approx((1.1, 1.1))


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, ("base", "here")), (1, ("here", "base")), (2, ("base", "here"))],
)
def test_order(number: int, expected: tuple[str, str]) -> None:
    """The side that is first in a pair is second in the next."""
    assert pairs.in_order(("base", "here"), number) == expected


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        pytest.param([0.99, 1.01], Verdict.WITHIN, id="the same"),
        pytest.param([0.6, 0.9], Verdict.WITHIN, id="cheaper"),
        pytest.param([1.02, 1.03], Verdict.WITHIN, id="dearer, and surely within the tolerance"),
        pytest.param([1.04, 1.05], Verdict.WORSE, id="surely dearer"),
        pytest.param([1.005, 1.09], Verdict.WORSE, id="dearer, and probably over the tolerance"),
        pytest.param([0.98, 1.10], Verdict.UNDECIDED, id="perhaps not dearer at all"),
        pytest.param([1.01, 1.04], Verdict.UNDECIDED, id="dearer, and perhaps over the tolerance"),
    ],
)
def test_verdict(ratios: list[float], expected: Verdict) -> None:
    """A row is worse, or within the tolerance, only if its interval shows it."""
    found = compared(*ratios * 5)
    assert found.verdict is expected
    assert pairs.has_failed([found]) is (expected is Verdict.WORSE)


@pytest.mark.parametrize("failure", [{"errors": 1}, {"unexpected": 1}])
def test_wrong_answers_are_no_comparison(failure: dict[str, int]) -> None:
    """A side with wrong answers fails, however cheap they are."""
    found = pairs.compare("session", [Pair(window(), window(20.0, **failure))] * 6)
    assert found.verdict is Verdict.FAILED
    assert pairs.has_failed([found])
    assert "FAILED (6 wrong answers)" in shown(found)


def test_a_window_without_a_tick_has_no_ratio() -> None:
    """The kernel may count no CPU time in a short window: the pair is left out."""
    found = pairs.compare("session", [Pair(window(), window(cpu_s=0.0)), Pair(window(), window())])
    assert found.pairs == 1
    assert found.ratio == pytest.approx(1.0)


def test_no_ratio_at_all() -> None:
    """A row without CPU time is undecided, and shows no figures."""
    found = pairs.compare("session", [Pair(window(cpu_s=0.0), window(cpu_s=0.0))] * 6)
    assert found.verdict is Verdict.UNDECIDED
    assert "| – | – | – | – – – | 0 |" in shown(found)


def test_disturbed_pairs_are_counted() -> None:
    """A pair is disturbed if one of its sides is."""
    calm, disturbed = Pair(window(), window()), Pair(window(), window(others_s=0.2))
    assert pairs.compare("session", [calm, disturbed, calm]).disturbed == 1


def test_table() -> None:
    """A line contains both costs, the ratio and its interval."""
    line = shown(compared(*[1.0, 1.0, 1.1] * 4))
    expected = (
        "session cookie | 40.0 | 40.0 | 1.000 | 1.000 – 1.100 | 12 | 0 | undecided: more pairs |"
    )
    assert line.endswith(expected)


def test_json() -> None:
    """The JSON contains every window and the verdict, and only numbers that JSON can express."""
    made = pairs.as_json({"session": [Pair(window(), window(50.0))] * 6}, {"cores": 2}, ["X"])
    read = json.loads(json.dumps(made, allow_nan=False))
    assert read["machine"] == {"cores": 2}
    assert read["differences"] == ["X"]
    assert read["rows"]["session"]["ratio"] == pytest.approx(1.25)
    assert read["rows"]["session"]["verdict"] == "WORSE"
    assert len(read["pairs"]["session"]) == 6
    assert read["pairs"]["session"][0]["here"]["cpu_s"] == pytest.approx(2.0)
