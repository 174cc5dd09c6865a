"""Report and exit status of a run."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks.build import CannotRun, NotHere
from benchmarks.once import Figures, Single
from benchmarks.servers import Rig


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Restore the handler of SIGTERM, which a run replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(monkeypatch: pytest.MonkeyPatch, result: Figures | Exception, *options: str) -> int:
    """Run with a single measurement, which has this result."""

    def measure(rig: Rig) -> Figures:
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(program, "SCENARIOS", ())
    monkeypatch.setattr(program, "SINGLES", (Single("idle", measure),))
    return program.main(options)


@pytest.mark.parametrize(
    ("result", "options", "expected"),
    [
        pytest.param({"idle_kib": 4.0}, ["--check"], 0, id="met"),
        pytest.param({"idle_kib": 9.0}, ["--check"], 1, id="missed"),
        pytest.param({"idle_kib": 9.0}, [], 0, id="missed-and-not-checked"),
        pytest.param(NotHere("no OpenSSL"), ["--check"], 0, id="left-out"),
        pytest.param(CannotRun("no compiler"), [], 3, id="broken"),
        pytest.param({"idle_kib": 9.0}, ["--check", "--only", "idle"], 1, id="only-that"),
    ],
)
def test_exit_status(
    monkeypatch: pytest.MonkeyPatch, result: Figures | Exception, options: list[str], expected: int
) -> None:
    """With ``--check``, a missed bar is exit status 1; a program that does not run is 3."""
    assert expected == run(monkeypatch, result, *options)


def test_measurements_that_are_left_out_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar that is not measured does not look like one that is met."""
    run(monkeypatch, NotHere("no descriptors"))
    output = capsys.readouterr().out
    assert "left out: idle: no descriptors\n" in output
    assert "not measured: an idle connection takes at most 8 KiB\n" in output


def test_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The figures are printed, judged, and written as JSON."""
    run(monkeypatch, {"idle_kib": 9.0}, "--json", str(tmp_path / "json"))
    output = capsys.readouterr().out
    assert "FAIL: an idle connection takes at most 8 KiB (9 KiB)\n" in output
    assert json.loads((tmp_path / "json").read_text())["figures"] == {"idle_kib": 9.0}


@pytest.mark.parametrize("options", [["--only", "nothing"], ["--seconds", "0"], ["--rounds", "0"]])
def test_wrong_options(options: list[str]) -> None:
    """Invalid options end the program with exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        program.main(options)
