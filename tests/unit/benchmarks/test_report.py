"""What the figures of a run are made to say."""

import json
from typing import Any

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.report import Measurement
from benchmarks.scenarios import SCENARIOS


def window(scenario: str = "session", **changes: Any) -> Measurement:
    """A window of two seconds; 40 µs a request unless told otherwise."""
    figures: dict[str, Any] = {
        "connections": 1 if scenario.endswith("-1") else 64,
        "requests": 40_000,
        "seconds": 2.0,
        "errors": 0,
        "unexpected": 0,
        "p50_us": 1000,
        "p99_us": 2000,
        "max_us": 3000,
        "cpu_s": 1.6,
        "others_s": 0.0,
        "rss_bytes": 50 << 20,
    }
    return Measurement(scenario, **(figures | changes))


def a_run(**changes: Any) -> list[Measurement]:
    """A window of each scenario that a bar needs; ``changes`` are of the session."""
    return [
        window("relay", cpu_s=0.92),
        window("naive", requests=10_000, cpu_s=2.0),
        window("session", **changes),
        window("refused", cpu_s=0.8),
    ]


def verdicts(measurements: list[Measurement]) -> list[bool | None]:
    return [bar.passed for bar in report.bars(report.summarise(measurements))]


def shown(table: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_figures_of_a_window() -> None:
    """CPU time and requests are divided by what they belong to."""
    measured = window()
    assert measured.cpu_us == pytest.approx(40.0)
    assert measured.per_second == pytest.approx(20_000)
    assert measured.busy == pytest.approx(0.8)


def test_no_requests_cost_nothing_that_could_be_told() -> None:
    """A window without answers divides by nothing, and is never the best."""
    dead = window(requests=0)
    assert dead.cpu_us is None
    row = report.summarise([dead, window()])["session"]
    assert row.best.requests > 0
    assert row.spread is None


def test_cheapest_window_counts() -> None:
    """Noise only ever adds, so the least CPU time is the truest; the spread tells of the rest."""
    row = report.summarise([window(cpu_s=2.0), window(cpu_s=1.6), window(cpu_s=1.8)])["session"]
    assert row.best.cpu_s == 1.6
    assert row.spread == pytest.approx(0.25)


def test_fastest_window_counts_where_no_cpu_is_judged() -> None:
    """The app itself has no CPU figure: there, and with one connection, time on the wall counts."""
    windows = [window("direct", cpu_s=None, requests=count) for count in (10, 30, 20)]
    assert report.summarise(windows)["direct"].best.requests == 30
    alone = [
        window("session-1", requests=10, cpu_s=0.1),
        window("session-1", requests=20, cpu_s=1.0),
    ]
    assert report.summarise(alone)["session-1"].best.requests == 20


def test_disturbed_windows_come_last() -> None:
    """A window in which others used the core is taken only where there is no other."""
    disturbed = window(cpu_s=1.0, others_s=0.2)
    assert report.summarise([disturbed, window()])["session"].best.cpu_s == 1.6
    alone = report.summarise([disturbed])
    assert alone["session"].best is disturbed
    assert any("NOT TO BE RELIED ON" in line for line in report.notes(alone))


def test_rows_are_in_order() -> None:
    """However scenarios were interleaved, the report has one order."""
    names = list(report.summarise([window("session-1"), window("session"), window("relay")]))
    assert names == ["relay", "session", "session-1"]


def test_every_scenario_has_a_title() -> None:
    """A scenario without a title would be measured and never shown."""
    assert [scenario.name for scenario in SCENARIOS] == list(report.TITLES)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [True, True, True, True], id="all is well"),
        pytest.param({"cpu_s": 1.9}, [False, True, True, True], id="too dear"),
        pytest.param({"cpu_s": 1.8}, [True, True, True, True], id="just cheap enough"),
        pytest.param(
            {"requests": 30_000, "cpu_s": 1.2}, [True, False, True, True], id="not four times"
        ),
        pytest.param({"cpu_s": 0.7}, [True, True, False, True], id="dearer to refuse"),
        pytest.param({"errors": 1}, [True, True, True, False], id="a broken connection"),
        pytest.param({"unexpected": 1}, [True, True, True, False], id="a wrong status"),
    ],
)
def test_bars(changes: dict[str, Any], expected: list[bool]) -> None:
    """Each bar is missed by what it is there for, and by nothing else."""
    measurements = a_run(**changes)
    assert verdicts(measurements) == expected
    assert report.has_failed(report.summarise(measurements)) is not all(expected)


def test_a_failure_in_any_window_counts() -> None:
    """Choosing the best window must not hide that another went wrong."""
    assert verdicts([*a_run(), window(cpu_s=1.9, unexpected=3)])[-1] is False


def test_what_was_not_measured_is_not_judged() -> None:
    """With --only, the bars that need more are left open, and none of them fails the run."""
    rows = report.summarise([window("bearer")])
    assert [bar.passed for bar in report.bars(rows)] == [None, None, None, True]
    assert not report.has_failed(rows)
    assert report.verdict(report.bars(rows)[0]).startswith("not measured: ")
    assert report.notes(rows) == []


def test_yard_stick() -> None:
    """A relay twice as dear as where the budgets were written halves what is read off here."""
    rows = report.summarise(a_run())
    assert report.machine_factor(rows) == pytest.approx(2.0)
    assert "factor 2.00" in report.notes(rows)[0]
    assert "20.0 µs on the budgets' machine" in report.bars(rows)[0].found


def test_added_latency() -> None:
    """What the gateway adds is what a request takes longer than without it."""
    rows = report.summarise(
        [window("direct-1", cpu_s=None, p50_us=20), window("session-1", p50_us=170)]
    )
    assert report.added_latency_us(rows, "session-1") == 150
    assert "0.15 ms" in report.notes(rows)[0]
    assert report.added_latency_us(rows, "naive-1") is None


def test_throughput_table() -> None:
    """Many connections and one do not stand in the same table."""
    table = shown(report.throughput_table(report.summarise([*a_run(), window("session-1")])))
    assert table.count("Gateway, session cookie") == 1
    [line] = [line for line in table.splitlines() if "session cookie" in line]
    cells = [cell.strip() for cell in line.strip("| ").split("|")]
    assert cells[1:] == ["40.0", "20,000", "1.00", "2.00", "4.0", "80%", "50", "0%"]


def test_latency_table() -> None:
    """The app itself is what the others are compared with: to it, nothing is added."""
    windows = [window("direct-1", cpu_s=None, p50_us=20), window("session-1", p50_us=170)]
    table = shown(report.latency_table(report.summarise([*windows, window()])))
    rows = [line for line in table.splitlines() if "app itself" in line or "Gateway" in line]
    added = [line.split("|")[3].strip() for line in rows]
    assert added == ["–", "150"]


def test_failures_stand_in_the_row() -> None:
    """A figure that was got by wrong answers does not look like the others."""
    table = shown(report.throughput_table(report.summarise([window(errors=2, unexpected=3)])))
    assert "(5 failed!)" in table


def test_json() -> None:
    """Programs get every window, not the best alone, in numbers that JSON has."""
    windows = [*a_run(), window(requests=0)]
    written = json.dumps(report.as_json(windows, {"cores": 2}), allow_nan=False)
    read = json.loads(written)
    assert len(read["windows"]) == len(windows)
    assert read["best"]["session"]["cpu_us"] == pytest.approx(40.0)
    assert read["machine"] == {"cores": 2, "relay_factor": pytest.approx(2.0)}
