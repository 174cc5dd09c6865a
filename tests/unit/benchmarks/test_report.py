"""Rows, bars, tables and notes of a report."""

import json
import re
from typing import Any

import pytest
from rich.console import Console

from benchmarks import bars, report, rows
from benchmarks.bars import Results
from benchmarks.once import SINGLES
from benchmarks.rows import Measurement
from benchmarks.scenarios import SCENARIOS


def window(scenario: str = "session", **changes: Any) -> Measurement:
    """Make a window of two seconds, with 40 µs a request by default."""
    figures: dict[str, Any] = {
        "connections": 1 if scenario.endswith("-1") else 64,
        "requests": 40_000,
        "seconds": 2.0,
        "errors": 0,
        "unexpected": 0,
        "body_bytes": 1_080_000,
        "p50_us": 1000,
        "p99_us": 2000,
        "max_us": 3000,
        "cpu_s": 1.6,
        "others_s": 0.0,
        "rss_bytes": 50 << 20,
    }
    return Measurement(scenario, **(figures | changes))


def a_run(**changes: Any) -> list[Measurement]:
    """Make a window of each scenario that the bars need; ``changes`` apply to ``session``."""
    return [
        window("relay", cpu_s=0.92),
        window("naive", requests=10_000, cpu_s=2.0),
        window("session", **changes),
        window("refused", cpu_s=0.8),
    ]


def results(measurements: list[Measurement], **figures: float) -> Results:
    return Results(rows.summarise(measurements), figures)


def verdicts(measurements: list[Measurement], **figures: float) -> dict[str, bool]:
    """Verdicts of the bars that were measured, by their demand."""
    judged = bars.bars(results(measurements, **figures))
    return {bar.demand: bar.passed for bar in judged if bar.passed is not None}


SESSION = "a session costs at most 45 µs of CPU"
NAIVE = "it is served at least 4 × as fast as by the naive gateway"
REFUSED = "a 401 costs less than a forwarded request"
FAILED = "every request is answered as it should be"
ALL = (SESSION, NAIVE, REFUSED, FAILED)


def shown(table: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_figures_of_a_window() -> None:
    """CPU time is divided by requests, and requests by seconds."""
    measured = window()
    assert measured.cpu_us == pytest.approx(40.0)
    assert measured.per_second == pytest.approx(20_000)
    assert measured.busy == pytest.approx(0.8)


def test_a_window_without_requests_has_no_cost() -> None:
    """A window without answers has no CPU time per request, and is never the best."""
    dead = window(requests=0)
    assert dead.cpu_us is None
    row = rows.summarise([dead, window()])["session"]
    assert row.best.requests > 0
    assert row.spread is None


def test_a_window_without_a_tick_has_no_cost() -> None:
    """The kernel counts CPU time in hundredths of a second: in a short window it may count none."""
    row = rows.summarise([window(cpu_s=0.0, requests=3), window()])["session"]
    assert row.best.cpu_s == 1.6


def test_cheapest_window_counts() -> None:
    """Noise only adds CPU time, so the cheapest window counts; the spread shows the others."""
    row = rows.summarise([window(cpu_s=2.0), window(cpu_s=1.6), window(cpu_s=1.8)])["session"]
    assert row.best.cpu_s == 1.6
    assert row.spread == pytest.approx(0.25)


def test_fastest_window_counts_where_no_cpu_is_measured() -> None:
    """For the app itself, and with one connection, wall-clock time counts instead of CPU time."""
    windows = [window("direct", cpu_s=None, requests=count) for count in (10, 30, 20)]
    assert rows.summarise(windows)["direct"].best.requests == 30
    alone = [
        window("session-1", requests=10, cpu_s=0.1),
        window("session-1", requests=20, cpu_s=1.0),
    ]
    assert rows.summarise(alone)["session-1"].best.requests == 20


def test_disturbed_windows_come_last() -> None:
    """A window in which other programs used the core counts only if there is no other window."""
    disturbed = window(cpu_s=1.0, others_s=0.2)
    assert rows.summarise([disturbed, window()])["session"].best.cpu_s == 1.6
    alone = rows.summarise([disturbed])
    assert alone["session"].best is disturbed
    assert any("NOT RELIABLE" in line for line in report.notes(Results(alone, {})))


def test_rows_are_in_order() -> None:
    """The order of a report does not depend on the order of the windows."""
    names = list(rows.summarise([window("session-1"), window("session"), window("relay")]))
    assert names == ["relay", "session", "session-1"]


def test_every_scenario_has_a_title() -> None:
    """A scenario without a title would be measured, but not shown."""
    assert [scenario.name for scenario in SCENARIOS] == list(rows.ENTRIES)
    assert not {scenario.name for scenario in SCENARIOS} & {single.name for single in SINGLES}


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        pytest.param({}, set(), id="all is well"),
        pytest.param({"cpu_s": 3.7}, {SESSION}, id="too dear"),
        pytest.param({"cpu_s": 3.6}, set(), id="just cheap enough"),
        pytest.param({"requests": 30_000, "cpu_s": 1.2}, {NAIVE}, id="not four times"),
        pytest.param({"cpu_s": 0.7}, {REFUSED}, id="dearer to refuse"),
        pytest.param({"errors": 1}, {FAILED}, id="a broken connection"),
        pytest.param({"unexpected": 1}, {FAILED}, id="a wrong status"),
    ],
)
def test_bars(changes: dict[str, Any], missed: set[str]) -> None:
    """Each change misses its own bars, and no others."""
    measurements = a_run(**changes)
    assert verdicts(measurements) == {demand: demand not in missed for demand in ALL}
    assert bars.has_failed(results(measurements)) is bool(missed)


def test_budgets_are_scaled_by_the_relay() -> None:
    """If a relay costs twice as much as on the reference machine, a session may do so as well."""
    twice = [window("relay", cpu_s=0.92), window("session", cpu_s=3.5)]
    assert verdicts(twice)[SESSION]
    assert not verdicts(twice[1:])[SESSION]


@pytest.mark.parametrize(
    ("figures", "passed"),
    [
        pytest.param({"idle_kib": 8.0}, True, id="connections just small enough"),
        pytest.param({"idle_kib": 8.1}, False, id="connections too large"),
        pytest.param({"idle_mib": 151.0}, False, id="all of them too large"),
        pytest.param({"grown_down_mib": 9.0}, False, id="a download that is collected"),
        pytest.param({"grown_up_mib": -1.0}, True, id="an upload that is not"),
        pytest.param({"routing_10_ns": 9.0, "routing_10000_ns": 18.0}, True, id="routes"),
        pytest.param({"routing_10_ns": 9.0, "routing_10000_ns": 19.0}, False, id="dear routes"),
        pytest.param({"start_s": 2.1}, False, id="a slow start"),
        pytest.param({"start_10000_s": 1.9}, True, id="a fast start with many routes"),
    ],
)
def test_budgets_of_what_is_measured_once(figures: dict[str, float], passed: bool) -> None:
    """Each single figure has a bar."""
    (found,) = (is_met for name, is_met in verdicts([], **figures).items() if name != FAILED)
    assert found is passed


@pytest.mark.parametrize(
    ("ours_s", "passed"), [pytest.param(1.84, True, id="met"), pytest.param(1.85, False, id="not")]
)
def test_ratios_to_the_rival(ours_s: float, passed: bool) -> None:
    """A row is compared with that of nginx with Lua, and shown with its bar."""
    measured = [window("browser", cpu_s=ours_s), window("rival-browser", cpu_s=1.6)]
    (found,) = (is_met for name, is_met in verdicts(measured).items() if "nginx" in name)
    assert found is passed
    table = shown(report.rivalry_table(rows.summarise(measured)))
    assert re.search(r"\| +46\.[0-9] \| +40\.0 \| +1\.1[56] \| +≤ 1\.15 \|", table)


@pytest.mark.parametrize(
    ("strict_s", "passed"),
    [pytest.param(1.88, True, id="met"), pytest.param(1.89, False, id="not")],
)
def test_what_cpu_a_strict_limit_takes(strict_s: float, passed: bool) -> None:
    """The wait for the store is compared with a request that does not wait."""
    measured = [window("session", cpu_s=1.4), window("strict", cpu_s=strict_s)]
    found = verdicts(measured)
    assert found["a strict limit adds at most 12 µs of CPU to one that is not"] is passed


@pytest.mark.parametrize(
    ("strict_us", "passed"), [pytest.param(650, True, id="met"), pytest.param(651, False, id="not")]
)
def test_what_a_strict_limit_adds(strict_us: int, passed: bool) -> None:
    """The wait for the store is compared with a request that does not wait."""
    measured = [window("direct-1", p50_us=400), window("session-1", p50_us=500)]
    found = verdicts([*measured, window("strict-1", p50_us=strict_us)])
    assert found["a strict limit adds at most 0.15 ms to one that is not"] is passed


@pytest.mark.parametrize(
    ("cpu_s", "passed"), [pytest.param(1.76, True, id="met"), pytest.param(1.77, False, id="not")]
)
def test_what_a_second_worker_costs(cpu_s: float, passed: bool) -> None:
    """A request may cost little more where two workers serve."""
    found = verdicts([window("workers-1"), window("workers-2", cpu_s=cpu_s)])
    assert found["with two workers, a request costs at most 1.1 × what it costs with one"] is passed


def test_without_the_rival_there_is_no_table_of_it() -> None:
    """Ratios are shown where both sides were measured."""
    assert report.rivalry_table(rows.summarise([window("browser")])).row_count == 0


def test_latency_counts_in_an_open_loop() -> None:
    """Of windows at a rate, the one with the shortest tail is the best."""
    tails = [window("open-60", p99_us=p99, cpu_s=1.0 / p99, is_open=True) for p99 in (5, 3, 4)]
    assert rows.summarise(tails)["open-60"].best.p99_us == 3
    nothing = window("open-60", requests=0, p99_us=0, is_open=True)
    assert rows.summarise([nothing, *tails])["open-60"].best.p99_us == 3


def test_a_failure_in_any_window_counts() -> None:
    """Wrong answers in a window that is not the best one are reported as well."""
    assert not verdicts([*a_run(), window(cpu_s=1.9, unexpected=3)])[FAILED]


def test_bars_without_measurements_are_not_judged() -> None:
    """With ``--only``, the bars of other scenarios are not measured, and do not fail the run."""
    measured = results([window("bearer")])
    assert verdicts([window("bearer")]) == {FAILED: True}
    assert not bars.has_failed(measured)
    assert bars.verdict(bars.bars(measured)[0]).startswith("not measured: ")
    assert report.notes(measured) == []


def test_factor_of_the_machine() -> None:
    """On a machine where a relay costs twice as much, figures are halved for the budgets."""
    measured = results(a_run())
    assert bars.machine_factor(measured.rows) == pytest.approx(2.0)
    assert "factor 2.00" in report.notes(measured)[0]
    assert "on the reference machine 20 µs" in bars.bars(measured)[0].found


def test_effect_of_caches_of_heads() -> None:
    """The notes state how much caches of whole heads save, as the load repeats its heads."""
    measured = results([window(), window("varied", cpu_s=2.4)])
    assert "a factor of 1.50" in report.notes(measured)[0]


def test_added_latency() -> None:
    """The latency that the gateway adds is the difference from a direct request."""
    found = rows.summarise(
        [window("direct-1", cpu_s=None, p50_us=20), window("session-1", p50_us=170)]
    )
    assert rows.added_latency_us(found, "session-1") == 150
    assert bars.added_ms(found, "session-1") == 0.15
    assert rows.added_latency_us(found, "naive-1") is None


def table(measurements: list[Measurement], head: str) -> str:
    """Print the table with this head."""
    all_tables = map(shown, report.tables(results(measurements)))
    (found,) = (text for text in all_tables if f"| {head} " in text)
    return found


def cells(text: str, title: str) -> list[str]:
    """Cells of the line with this title, without the title."""
    (line,) = (line for line in text.splitlines() if title in line)
    return [cell.strip() for cell in line.strip("| ").split("|")][1:]


def test_throughput_table() -> None:
    """Rows with many connections and with one connection are in different tables."""
    text = table([*a_run(), window("session-1")], "one core, small GET")
    expected = ["40.0", "20,000", "1.00", "2.00", "4.0", "80%", "50", "0%"]
    assert cells(text, "session cookie") == expected


def test_bodies_table() -> None:
    """Bodies are compared with bodies of the same size and direction."""
    windows = [
        window("get-1m-naive", requests=1000, body_bytes=1_000_000_000),
        window("get-1m-session", requests=2000, body_bytes=2_000_000_000),
        window("get-10k-naive"),
    ]
    text = table(windows, "one core, bodies")
    expected = ["800", "1,000", "1,000", "2.0", "80%", "50", "0%"]
    assert cells(text, "1 MiB down, Gateway") == expected


def test_messages_table() -> None:
    """Messages of tunnels are not compared with requests to the naive gateway."""
    text = table([window("ws"), window("naive")], "one core, WebSocket echo of 32 bytes")
    assert cells(text, "Gateway") == ["40.0", "20,000", "1.00", "2.00", "80%", "50", "0%"]


def test_latency_table() -> None:
    """Added latency is relative to the app itself, which therefore has none."""
    windows = [window("direct-1", cpu_s=None, p50_us=20), window("session-1", p50_us=170)]
    text = table([*windows, window()], "one core, small GET, one connection")
    assert cells(text, "app itself")[:2] == ["20", "–"]
    assert cells(text, "Gateway")[:2] == ["170", "150"]


def test_figures_table() -> None:
    """Single figures have a table of their own, without those that were not measured."""
    text = shown(report.figures_table(results([], idle_kib=4.567)))
    assert cells(text, "idle keep-alive") == ["4.57"]
    assert "GiB" not in text


def test_every_figure_has_a_title() -> None:
    """A figure without a title would be judged, but not shown."""
    text = shown(report.figures_table(results([], **dict.fromkeys(bars.FIGURES, 1.0))))
    assert len([line for line in text.splitlines() if line.endswith("| 1 |")]) == len(bars.FIGURES)


def test_failures_stand_in_the_row() -> None:
    """A row with wrong answers is marked."""
    assert "(5 failed!)" in table([window(errors=2, unexpected=3)], "one core, small GET")


def test_json() -> None:
    """The JSON contains every window, and only numbers that JSON can express."""
    windows = [*a_run(), window(requests=0)]
    made = report.as_json(windows, {"idle_kib": 4.5}, {"cores": 2})
    read = json.loads(json.dumps(made, allow_nan=False))
    assert len(read["windows"]) == len(windows)
    assert read["best"]["session"]["cpu_us"] == pytest.approx(40.0)
    assert read["figures"] == {"idle_kib": 4.5}
    assert read["machine"] == {"cores": 2, "relay_factor": pytest.approx(2.0)}
