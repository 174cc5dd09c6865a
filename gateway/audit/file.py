"""The end of an audit file: lines are appended whole, and half lines of others are named."""

import errno
import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.audit.chain import (
    MAX_LIST,
    ChainLink,
    Head,
    fingerprint,
    is_genuine,
    machine_in_writer,
    read_line,
    seal,
)
from gateway.core.audit import AuditDetail, AuditEntry, AuditEvent
from gateway.core.ports import Clock

MODE: Final = 0o640
"""Of a new file: its group may read it, such as that of a program which ships logs."""
_MAX_HALF_BYTES: Final = 256 * 1024
"""A half line is shorter: the members of a line are bounded."""


class AuditFile:
    """
    One writer's end of a file that other processes may append to as well.

    Each line goes in one ``write`` with ``O_APPEND``, under a lock, so lines of several writers do
    not mix, and none takes a line under way for half a line. A process that dies in the middle of
    one leaves half a line: the next writer ends it with a line feed, and its own next line names
    it, so that `gateway.audit.verify` knows it. Not for several threads at a time; each method
    raises `OSError`.
    """

    def __init__(self, path: str, key: bytes, writer: str, clock: Clock = time.time) -> None:
        self.path = str(Path(path).absolute())
        self._key = key
        self._clock = clock
        self.writer = writer
        self._link = ChainLink(writer)
        self._descriptor = _opened(self.path)
        self._time_ms = 0
        self._unnamed: list[str] = []
        """Fingerprints of half lines that no line has named yet."""
        self._has_moved = False
        """Whether the chain has come from another file, and no line of this one says so yet."""

    @property
    def head(self) -> Head | None:
        """The latest line of this writer; None before the first."""
        _, seq, mac = self._link
        return Head(seq, mac, self._time_ms, self.path) if seq else None

    def append(self, entry: AuditEntry, time_ms: int | None = None) -> None:
        """Append the line of ``entry``: all of it, or an error, after which it can be repeated."""
        with _locked(self._descriptor):
            self._name_half_line()
            self._say_moved()
            self._append(entry, self._now_ms() if time_ms is None else time_ms)

    def reopen(self) -> None:
        """
        Go on in the file that has the name now: another program has renamed the old one.

        Where it fails, lines go on in the old file; in the new one once that could be opened.
        """
        descriptor = _opened(self.path)
        try:
            if os.path.sameopenfile(descriptor, self._descriptor):
                os.close(descriptor)
                return
            self.append(AuditEntry(AuditEvent.FILE_LEFT, "gateway", self.path))
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor, self._has_moved = descriptor, True
        with _locked(descriptor):
            self._name_half_line()
            self._say_moved()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _say_moved(self) -> None:
        """Begin a file that the chain has come to; again where the disk was full."""
        if self._has_moved:
            entry = AuditEntry(AuditEvent.FILE_OPENED, "gateway", self.path)
            self._append(entry, self._now_ms())
            self._has_moved = False

    def _append(self, entry: AuditEntry, time_ms: int, start: bytes = b"") -> None:
        line, link = seal(self._key, self._link, entry, time_ms)
        written = os.write(self._descriptor, start + line)
        if written < len(start + line) - 1:  # a lack of its line feed alone is cured by the next
            raise _HalfWritten(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._link, self._time_ms = link, time_ms

    def _name_half_line(self) -> None:
        """End a half line, and name it, with those that could not be named before."""
        half = self._half_line()
        if half:
            self._unnamed.append(fingerprint(half))
        end = b"\n" if half else b""
        while self._unnamed:
            details: dict[str, AuditDetail] = {"halves": self._unnamed[:MAX_LIST]}
            entry = AuditEntry(AuditEvent.HALF_LINE, "gateway", self.path, details=details)
            try:
                self._append(entry, self._now_ms(), end)
            except _HalfWritten:  # the line feed is there: the next time, another half is the last
                raise
            except OSError:
                if end:
                    self._unnamed.pop()
                raise
            self._unnamed, end = self._unnamed[MAX_LIST:], b""

    def _half_line(self) -> bytes:
        """Return what stands behind the last line feed; a line that lacks it alone gets it."""
        size = os.fstat(self._descriptor).st_size
        if size == 0 or os.pread(self._descriptor, 1, size - 1) == b"\n":
            return b""
        start = max(0, size - _MAX_HALF_BYTES)
        half = os.pread(self._descriptor, size - start, start).rpartition(b"\n")[2]
        line = read_line(half)
        if line is None or not is_genuine(line, self._key):
            return half
        os.write(self._descriptor, b"\n")
        return b""


class _HalfWritten(OSError):
    """A part of a line was written."""


def writer_name(role: str, token: str) -> str:
    """Name a writer by its machine, its role, such as ``worker-2``, and a random ``token``."""
    return f"{machine_in_writer(socket.gethostname())}:{role}:{token}"


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """
    Wait until no other writer appends, and keep them from it.

    The lock is of the open file, not of the process (fcntl_locking(2)): a reload has two in one
    process. Who may only read the file cannot take it.
    """
    _set_lock(descriptor, fcntl.F_WRLCK)
    try:
        yield
    finally:
        _set_lock(descriptor, fcntl.F_UNLCK)


def _set_lock(descriptor: int, kind: int) -> None:
    whole_file = struct.pack("hhqqixxxx", kind, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, whole_file)


def _opened(path: str) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags, MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor
