"""A handler of `logging` that never makes its caller wait for the reader of the log."""

import logging
import os
import select
import stat
import time
from collections import deque
from threading import Condition, Thread

MAX_BUFFERED_BYTES = 256 * 1024
FLUSH_S = 1.0
"""How long the end of the process waits for the reader of what is still to be written."""

_NOT_FORMATTED = "a line of the log could not be formatted"


class LogWriter(logging.Handler):
    """
    Writes lines to a file descriptor from a thread of its own.

    What the reader does not take is buffered up to a bound; then lines are dropped and counted, and
    the log says how many when it is read again. A reader that has gone ends nothing.
    """

    def __init__(self, fd: int, max_buffered_bytes: int = MAX_BUFFERED_BYTES) -> None:
        super().__init__()
        self.dropped = 0
        """Number of lines dropped because the reader was too slow, or gone."""
        self._fd = fd
        self._max_buffered_bytes = max_buffered_bytes
        self._lines: deque[bytes] = deque()
        self._buffered_bytes = 0
        """Of the lines, and of the one that is being written."""
        self._unreported = 0
        self._changed = Condition()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._write_bytes = max_buffered_bytes if is_file else select.PIPE_BUF
        """A writable pipe takes this much without blocking (pipe(7)), and in one piece."""
        self._thread: Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 (such as arguments that do not fit the message)
            text = self.format(_message(_NOT_FORMATTED, record.levelno, record.name))
        self._put(text.encode(errors="backslashreplace") + b"\n")

    def flush(self) -> None:
        """Wait until all is written, for `FLUSH_S` at most."""
        until_s = time.monotonic() + FLUSH_S
        with self._changed:
            while self._buffered_bytes and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)

    def close(self) -> None:
        """Write what is left, within `FLUSH_S`."""
        self.flush()
        super().close()

    def _put(self, line: bytes) -> None:
        with self._changed:
            if self._buffered_bytes + len(line) > self._max_buffered_bytes:
                self.dropped += 1
                self._unreported += 1
                return
            self._lines.append(line)
            self._buffered_bytes += len(line)
            if self._thread is None:
                self._thread = Thread(target=self._write_lines, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    # --- the thread ----------------------------------------------------------------------------

    def _write_lines(self) -> None:
        while True:
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                line = self._lines.popleft()
            is_written = self._write(line)
            with self._changed:
                self._buffered_bytes -= len(line)
                self.dropped += not is_written
                dropped, self._unreported = self._unreported if is_written else 0, 0
                self._changed.notify_all()
            if dropped:
                text = f"{dropped} lines of the log were dropped: its reader was too slow"
                self.emit(_message(text, logging.WARNING, __name__))

    def _write(self, line: bytes) -> bool:
        """Write ``line`` as its reader takes it; return False if there is none any more."""
        left = memoryview(line)
        while left:
            self._poll.poll()
            try:
                written = os.write(self._fd, left[: self._write_bytes])
            except BlockingIOError:
                continue
            except OSError:
                return False
            left = left[written:]
        return True


def _message(text: str, level: int, logger: str) -> logging.LogRecord:
    return logging.LogRecord(logger, level, __file__, 0, text, (), None)
