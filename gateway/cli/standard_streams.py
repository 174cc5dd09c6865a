"""The standard streams of a command: those that are closed, and an output that takes no more."""

import io
import os
import sys
from typing import Any


class OutputFailed(OSError):
    """Standard output takes no more, such as a file on a full disk."""


class _Output(io.FileIO):
    """Standard output, whose errors are told from those of other files."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror) from None


def prepare_streams() -> None:
    """
    Open closed streams as the null device: the next file to be opened would be taken for them.

    From now on a write to standard output that fails raises `OutputFailed`.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed, so this is the lowest number that is free
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 (lasts as the process)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = _output(sys.stdout)


def _output(before: Any) -> io.TextIOWrapper:
    """Return standard output as it was set up before; None stands for one that was closed."""
    raw = _Output(1, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None),
        errors=getattr(before, "errors", None),
        line_buffering=raw.isatty(),
    )


def discard_output() -> None:
    """Drop what is left for standard output, at which the end of the process would fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
