"""Comparison of two checkouts: order, report and exit status of a run."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ab
from benchmarks.build import CannotRun, NotHere
from benchmarks.checkout import THIS
from benchmarks.rows import ENTRIES, Measurement
from benchmarks.scenarios import Scenario


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Restore the handler of SIGTERM, which a run replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class Programs:
    """One side of a comparison: it starts nothing, and its requests have a fixed cost."""

    def __init__(self, name: str, cpu_us: float) -> None:
        self.name = name
        self.cpu_us = cpu_us
        self.stops = 0

    def stop_gateways(self) -> None:
        self.stops += 1


class Sides:
    """Both sides of a run; records the order in which they are measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, here_us: float) -> None:
        self.programs: list[Programs] = []
        self.order: list[str] = []
        self.why: Exception | None = None
        self.fails_after: int | None = None
        self._here_us = here_us
        monkeypatch.setattr(ab, "rig", self.rig)
        monkeypatch.setattr(ab, "Callers", lambda programs: programs)
        monkeypatch.setattr(ab, "load_for", lambda _: None)
        monkeypatch.setattr(ab, "measure", self.measure)
        monkeypatch.setattr(ab, "SCENARIOS", (Scenario("session", self.request),))

    @contextmanager
    def rig(self, *_: Any) -> Iterator[Programs]:
        side = ("base", 40.0) if not self.programs else ("here", self._here_us)
        self.programs.append(Programs(*side))
        yield self.programs[-1]

    def request(self, programs: Any) -> Any:
        if self.why is not None:
            raise self.why
        return programs

    def measure(self, scenario: Scenario, programs: Any, _: Any) -> Measurement:
        if len(self.order) == self.fails_after:
            raise CannotRun("it does not start")
        self.order.append(programs.name)
        cpu_s = programs.cpu_us / 1e6 * 1000
        return Measurement(scenario.name, 64, 1000, 1.0, 0, 0, 0, 1, 1, 1, cpu_s, 0.0, 1)


def run(*options: str) -> int:
    """Run the minimum of pairs, with this checkout as the base."""
    return ab.main(["--base", str(THIS.directory), "--pairs", "6", *options])


@pytest.mark.parametrize(
    ("here_us", "options", "expected"),
    [
        pytest.param(40.5, ["--check"], 0, id="the same"),
        pytest.param(44.0, ["--check"], 1, id="worse"),
        pytest.param(44.0, [], 0, id="worse, and not checked"),
    ],
)
def test_exit_status(
    monkeypatch: pytest.MonkeyPatch, here_us: float, options: list[str], expected: int
) -> None:
    """With ``--check``, a worse row is exit status 1."""
    Sides(monkeypatch, here_us)
    assert expected == run(*options)


def test_pairs_alternate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The side that is first in a pair is second in the next, and each pair has new gateways."""
    sides = Sides(monkeypatch, 40.0)
    run()
    assert sides.order == ["base", "here", "here", "base"] * 3
    assert [each.stops for each in sides.programs] == [6, 6]


def test_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The figures are printed as a table, and written as JSON."""
    Sides(monkeypatch, 44.0)
    run("--json", str(tmp_path / "json"))
    assert "| 40.0 | 44.0 | 1.100 | 1.100 – 1.100 |" in capsys.readouterr().out
    assert json.loads((tmp_path / "json").read_text())["rows"]["session"]["verdict"] == "WORSE"


def test_rows_that_are_left_out_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that cannot be measured here is reported once, and is not judged."""
    sides = Sides(monkeypatch, 44.0)
    sides.why = NotHere("no OpenSSL")
    assert run("--check") == 0
    output = capsys.readouterr()
    assert "left out: session: no OpenSSL\n" in output.out
    assert output.err.count("no OpenSSL") == 1


def test_programs_that_do_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A gateway that does not start, or that is missing, is exit status 3."""
    sides = Sides(monkeypatch, 40.0)
    sides.why = CannotRun("no compiler")
    assert run() == 3
    assert "no compiler" in capsys.readouterr().err
    assert ab.main(["--base", str(tmp_path)]) == 3


def test_what_was_measured_before_a_failure_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gateway that does not start in the last minute does not cost the minutes before."""
    sides = Sides(monkeypatch, 44.0)
    sides.fails_after = 6
    assert run("--check") == 3
    said = capsys.readouterr()
    assert "| 40.0 | 44.0 | 1.100 | – – – |     3 |" in said.out
    assert "the run ended early: it does not start" in said.err


def test_every_row_is_known() -> None:
    """Each row that can be compared is a row of the benchmarks, and is listed once."""
    rows = [*ab.ROWS, *ab.MORE_ROWS]
    assert len(rows) == len(set(rows))
    assert set(rows) <= set(ENTRIES)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--pairs", "4"], id="too few for an interval"),
        pytest.param(["--pairs", "11"], id="one side first more often"),
        pytest.param(["--seconds", "0"], id="no time"),
        pytest.param(["--connections", "1"], id="one connection"),
        pytest.param(["--rows", "naive"], id="not a gateway of ours"),
    ],
)
def test_wrong_options(options: list[str]) -> None:
    """Invalid options end the program with exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        ab.main(["--base", ".", *options])


def test_a_base_is_needed() -> None:
    """``--base`` is required."""
    with pytest.raises(SystemExit, match="2"):
        ab.main([])
