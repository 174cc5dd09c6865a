"""What a run says and how it ends."""

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
    """A run takes SIGTERM over."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(monkeypatch: pytest.MonkeyPatch, found: Figures | Exception, *options: str) -> int:
    """A run in which nothing is measured but one figure."""

    def measure(rig: Rig) -> Figures:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(program, "SCENARIOS", ())
    monkeypatch.setattr(program, "SINGLES", (Single("idle", measure),))
    return program.main(options)


@pytest.mark.parametrize(
    ("found", "options", "expected"),
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
    monkeypatch: pytest.MonkeyPatch, found: Figures | Exception, options: list[str], expected: int
) -> None:
    """A missed bar is 1 if that was asked for; what cannot be run is 3."""
    assert expected == run(monkeypatch, found, *options)


def test_what_is_left_out_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar that is not measured must not look like one that is met."""
    run(monkeypatch, NotHere("no descriptors"))
    said = capsys.readouterr().out
    assert "left out: idle: no descriptors\n" in said
    assert "not measured: an idle connection takes at most 8 KiB\n" in said


def test_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The figures are shown, judged, and written for programs."""
    run(monkeypatch, {"idle_kib": 9.0}, "--json", str(tmp_path / "json"))
    said = capsys.readouterr().out
    assert "FAIL: an idle connection takes at most 8 KiB (9 KiB)\n" in said
    assert json.loads((tmp_path / "json").read_text())["figures"] == {"idle_kib": 9.0}


@pytest.mark.parametrize("options", [["--only", "nothing"], ["--seconds", "0"], ["--rounds", "0"]])
def test_wrong_options(options: list[str]) -> None:
    """A slip of the pen is no run."""
    with pytest.raises(SystemExit, match="2"):
        program.main(options)
