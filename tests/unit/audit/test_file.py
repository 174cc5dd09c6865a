"""The end of an audit file, on a real disk."""

import contextlib
import fcntl
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gateway.audit.file import AuditFile, writer_name
from gateway.audit.verify import Verifier
from gateway.core.audit import AuditEntry, AuditEvent
from tests.fakes.audit import KEY, TIME_MS
from tests.fakes.memory import FakeClock

ENTRY = AuditEntry(AuditEvent.LOGIN, "did:ethr:0x1")


PROGRAM = """
import sys
from gateway.audit.file import AuditFile
from gateway.core.audit import AuditEntry, AuditEvent
file = AuditFile(sys.argv[1], b'k' * 32, sys.argv[2])
for _ in range(200):
    file.append(AuditEntry(AuditEvent.LOGIN, 'x' * 400))
"""


def opened(path: Path, writer: str = "e:gateway:1") -> AuditFile:
    return AuditFile(str(path), KEY, writer, FakeClock(TIME_MS / 1000))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines() if line[-2:] == b'"}']


def findings(*paths: Path) -> list[tuple[str, int]]:
    verifier = Verifier((KEY,), None, TIME_MS)
    for path in paths:
        verifier.feed(str(path), path.read_bytes().splitlines(keepends=True))
    return [(each.code.value, each.line) for each in verifier.finish()]


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size``: as on a full disk, in the middle of a line."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_writers_of_one_file_have_a_chain_each(tmp_path: Path) -> None:
    """Lines of both alternate; only its owner and group may read the file."""
    path = tmp_path / "audit.jsonl"
    first, second = opened(path, "e:a:1"), opened(path, "e:b:2")
    assert first.head is None
    for each in (first, second, first):
        each.append(ENTRY)
    assert [("e:a:1", 1), ("e:b:2", 1), ("e:a:1", 2)] == [
        (line["writer"], line["seq"]) for line in read(path)
    ]
    assert first.head is not None
    assert (2, read(path)[2]["mac"], TIME_MS, str(path)) == first.head
    assert [] == findings(path)
    assert 0 == path.stat().st_mode & 0o007


def test_half_a_line_of_another_is_ended_and_named(tmp_path: Path) -> None:
    """Its own line is whole, and the file verifies."""
    path = tmp_path / "audit.jsonl"
    opened(path).append(ENTRY)
    with path.open("ab") as file:
        file.write(b'{"writer":"e:b:2","seq":7,"ti')
    opened(path, "e:c:3").append(ENTRY)
    assert ["user.login", "audit.half_line", "user.login"] == [line["event"] for line in read(path)]
    assert [("half-line", 2)] == findings(path)


def test_a_line_that_lacks_its_line_feed_is_whole(tmp_path: Path) -> None:
    """The next writer adds it, and names nothing."""
    path = tmp_path / "audit.jsonl"
    opened(path).append(ENTRY)
    path.write_bytes(path.read_bytes()[:-1])
    opened(path, "e:c:3").append(ENTRY)
    assert ["user.login"] * 2 == [line["event"] for line in read(path)]
    assert [] == findings(path)


def test_a_full_disk_leaves_half_a_line_that_is_named_later(tmp_path: Path) -> None:
    """The entry can be written again: no line is lost, however often the disk was full."""
    path = tmp_path / "audit.jsonl"
    file = opened(path)
    file.append(ENTRY)
    size = path.stat().st_size
    for room in (0, 100, 100, 120, 250, 400):
        with files_up_to(size + room), pytest.raises(OSError):  # noqa: PT011 (of either kind)
            file.append(ENTRY)
    file.append(ENTRY)
    events = [line["event"] for line in read(path)]
    assert ("user.login", 2) == (events[-1], events.count("user.login"))
    assert {"half-line"} == {code for code, _ in findings(path)}


def test_many_half_lines_are_named(tmp_path: Path) -> None:
    """A disk that is full for long, with a little room now and then, leaves one each time."""
    path = tmp_path / "audit.jsonl"
    file = opened(path)
    file.append(ENTRY)
    for _ in range(250):
        with files_up_to(path.stat().st_size + 20), pytest.raises(OSError):  # noqa: PT011
            file.append(ENTRY)
    file.append(ENTRY)
    assert {"half-line"} == {code for code, _ in findings(path)}
    assert 250 == len(findings(path))
    with path.open("ab") as forged:
        forged.write(path.read_bytes().splitlines(keepends=True)[1])
    assert ("unreadable", len(path.read_bytes().splitlines())) == findings(path)[-1]


def test_a_renamed_file_is_followed(tmp_path: Path) -> None:
    """Both files say so; without a new name, nothing is written."""
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    file = opened(path)
    file.append(ENTRY)
    file.reopen()
    path.rename(old)
    file.append(ENTRY)
    file.reopen()
    file.append(ENTRY)
    assert ["user.login", "user.login", "audit.file_left"] == [line["event"] for line in read(old)]
    assert ["audit.file_opened", "user.login"] == [line["event"] for line in read(path)]
    assert [] == findings(old, path)


def test_a_file_that_cannot_be_opened_anew_is_kept(tmp_path: Path) -> None:
    """Lines go on where they went before."""
    folder = tmp_path / "logs"
    folder.mkdir()
    path, old = folder / "audit.jsonl", tmp_path / "audit.jsonl.1"
    file = opened(path)
    path.rename(old)
    folder.rmdir()
    with pytest.raises(OSError, match="No such file"):
        file.reopen()
    file.append(ENTRY)
    assert 1 == len(read(old))
    folder.mkdir()
    with files_up_to(old.stat().st_size), pytest.raises(OSError):  # noqa: PT011 (EFBIG)
        file.reopen()
    file.append(ENTRY)
    assert 2 == len(read(old))
    file.close()


def test_only_a_file_is_appended_to(tmp_path: Path) -> None:
    """A pipe has no end that could be looked at."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file") as raised:
        opened(pipe)
    assert str(pipe) == raised.value.filename


def test_a_writer_is_named_by_its_machine_and_role() -> None:
    """Of colons, two stand in it."""
    host, role, token = writer_name("worker-2", "ab12").split(":")
    assert (socket.gethostname().replace("_", "-"), "worker-2", "ab12") == (host, role, token)


def test_a_process_that_is_killed_leaves_a_file_that_verifies(tmp_path: Path) -> None:
    """Wherever it was: at most half a line, which the next writer names."""
    path = tmp_path / "audit.jsonl"
    program = PROGRAM.replace("range(200)", "iter(int, 1)")
    process = subprocess.Popen([sys.executable, "-c", program, str(path), "e:p:1"])
    while not (path.exists() and path.stat().st_size > 100_000):
        assert process.poll() is None
    process.kill()
    process.wait()
    opened(path).append(ENTRY)
    assert {"half-line"} >= {code for code, _ in findings(path)}
    assert 100 < len(read(path))


def test_a_line_that_is_being_written_is_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer waits for its end, where the kernel shows a part of it before the rest."""
    path = tmp_path / "audit.jsonl"
    first, second = opened(path, "e:a:1"), opened(path, "e:b:2")
    other = Thread(target=second.append, args=(ENTRY,))
    write = os.write

    def write_in_parts(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        written = write(descriptor, data[:100])
        other.start()
        other.join(0.2)
        return written + write(descriptor, data[100:])

    monkeypatch.setattr(os, "write", write_in_parts)
    first.append(ENTRY)
    other.join()
    assert ["e:a:1", "e:b:2"] == [line["writer"] for line in read(path)]
    assert [] == findings(path)


def test_a_reader_cannot_hold_writers_up(tmp_path: Path) -> None:
    """Who may only read the file, as programs that ship logs do, cannot take its lock."""
    path = tmp_path / "audit.jsonl"
    file = opened(path)
    with path.open("rb") as shipper:
        fcntl.flock(shipper, fcntl.LOCK_EX)
        file.append(ENTRY)
        with pytest.raises(OSError, match="Bad file descriptor"):
            fcntl.lockf(shipper, fcntl.LOCK_EX)
    assert 1 == len(read(path))


def test_a_new_file_says_that_it_is_one_when_the_disk_was_full(tmp_path: Path) -> None:
    """Alone, it lacks nothing: its older lines are in a file that was not given."""
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    file = opened(path)
    for _ in range(3):
        file.append(ENTRY)
    path.rename(old)
    write, sizes = os.write, list[int]()

    def write_once(descriptor: int, data: bytes) -> int:
        if sizes:
            raise OSError(28, "No space left on device")
        sizes.append(len(data))
        return write(descriptor, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write_once)
        with pytest.raises(OSError, match="No space"):
            file.reopen()
    file.append(ENTRY)
    file.reopen()
    assert ["audit.file_opened", "user.login"] == [line["event"] for line in read(path)]
    assert [("older-files", 1)] == findings(path)


def test_processes_do_not_mix_their_lines(tmp_path: Path) -> None:
    """Each of three appends two hundred lines at the same time."""
    path = tmp_path / "audit.jsonl"
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), f"e:p:{number}"])
        for number in range(3)
    ]
    assert [0, 0, 0] == [process.wait() for process in processes]
    assert (600, []) == (len(read(path)), findings(path))
