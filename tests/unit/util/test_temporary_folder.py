"""Temporary folders: who may enter them, and when they go."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.util.temporary_folder import temporary_folder

PREFIX = "gateway-test-"
HOLDS_ONE = (
    "from gateway.util.temporary_folder import temporary_folder\n"
    f"with temporary_folder({PREFIX!r}) as folder:\n"
    "    print(folder, flush=True)\n"
    "    input()\n"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of temporary folders, also for other processes."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@contextmanager
def _other_process() -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """A folder of another process."""
    command = [sys.executable, "-c", HOLDS_ONE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield Path(process.stdout.readline().strip()), process
        finally:
            process.kill()


def test_it_is_for_its_owner_alone_and_goes_with_what_it_holds(place: Path) -> None:
    """Other users cannot enter it."""
    with temporary_folder(PREFIX) as folder:
        assert (place, 0o700) == (folder.parent, stat.S_IMODE(folder.stat().st_mode))
        (folder / "inner").mkdir()
        (folder / "inner/file").touch()
    assert [] == list(place.iterdir())


def test_that_of_a_killed_process_is_removed_by_the_next() -> None:
    """The process itself could not."""
    with _other_process() as (left, process):
        process.kill()
        process.wait()
        assert left.is_dir()
        with temporary_folder(PREFIX) as folder:
            assert not left.exists()
            assert folder.is_dir()


def test_that_of_a_process_that_lives_stays() -> None:
    """Another process's, and another one of the same process."""
    with _other_process() as (others, _), temporary_folder(PREFIX) as own:
        with temporary_folder(PREFIX):
            pass
        assert others.is_dir()
        assert own.is_dir()


def test_what_no_process_of_ours_has_left_stays(place: Path) -> None:
    """A folder without a lock, one of another name, a file, and what a link leads to."""
    elsewhere = place / "elsewhere"
    for name in ("elsewhere", f"{PREFIX}without", "other-left"):
        (place / name).mkdir()
    for name in ("elsewhere/lock", "other-left/lock", f"{PREFIX}file"):
        (place / name).touch()
    (place / f"{PREFIX}link").symlink_to(elsewhere)
    (place / f"{PREFIX}without/lock").symlink_to(elsewhere / "lock")
    before = sorted(place.rglob("*"))
    with temporary_folder(PREFIX):
        pass
    assert before == sorted(place.rglob("*"))


def test_that_of_another_user_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where this process could remove it."""
    left = place / f"{PREFIX}left"
    left.mkdir()
    (left / "lock").touch()
    monkeypatch.setattr("os.geteuid", lambda: left.stat().st_uid + 1)
    with temporary_folder(PREFIX):
        pass
    assert left.is_dir()
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with temporary_folder(PREFIX):
        pass
    assert not left.exists()


def test_a_file_system_without_locks(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It serves all the same, and nothing is swept there."""
    left = place / f"{PREFIX}left"
    left.mkdir()
    (left / "lock").touch()

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with temporary_folder(PREFIX) as folder:
        assert not (folder / "lock").exists()
        assert left.is_dir()
    assert not folder.exists()
