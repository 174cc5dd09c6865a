"""
The access log: one line for each request; `gateway.telemetry.access_line` formats them.

Lines are buffered and written ten times a second, or earlier when many have accumulated. A slow
reader never blocks the event loop: the buffer grows up to a bound, then lines are dropped and
counted.
"""

import logging
import os
import select
import stat

from gateway.core.ports import Clock
from gateway.core.record import RequestRecord
from gateway.core.request import RequestHead
from gateway.telemetry.access_line import Encode, LineValues, json_lines
from gateway.telemetry.counters import Counters
from gateway.telemetry.log_sample import Sampler
from gateway.telemetry.refusal_ring import RefusalRing

_MAX_BUFFERED_BYTES = 8 * 1024 * 1024
_FLUSH_BYTES = 32 * 1024

_log = logging.getLogger("gateway")


class AccessLog:
    """Writes the outcome of each request to a file descriptor, without waiting for its reader."""

    def __init__(self, fd: int, clock: Clock, counters: Counters) -> None:
        self._fd = fd
        self._count = counters.request
        self._clock = clock
        self._values_of = LineValues().of
        self._encode: Encode = json_lines()
        self._sampler: Sampler | None = None
        self._buffer = bytearray()
        """Grown in place: separate lines would each touch cold memory (5 µs a line)."""
        self.refusals = RefusalRing()
        self.dropped = 0
        """Number of lines dropped because the reader was too slow."""
        self._is_failing = False
        """Whether the descriptor took nothing the last time, and the log says so."""
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._write_bytes = 1024 * 1024 if is_file else select.PIPE_BUF
        """A writable pipe takes this much without blocking (pipe(7))."""

    def configure(self, encode: Encode, sampler: Sampler | None = None) -> None:
        """Write further lines as ``encode`` does, of the requests that ``sampler`` takes."""
        self._encode, self._sampler = encode, sampler

    def write_request(
        self,
        head: RequestHead | None,
        record: RequestRecord,
        status: int,
        bytes_out: int,
        duration_s: float,
    ) -> None:
        """Log and count one request; see `gateway.core.handling.LogRequest`."""
        served_s, refusal = duration_s - record.tunnel_s, record.refusal
        self._count(record, head.method if head else "", status, bytes_out, served_s)
        buffer, part = self._buffer, 1.0
        has_line = len(buffer) <= _MAX_BUFFERED_BYTES
        if not has_line:
            self.dropped += 1
        if self._sampler is not None and (has_line or refusal):
            part = self._sampler.keep(record.route, status, is_refusal=bool(refusal))
            has_line = self._sampler.takes(part) and has_line
        if not (has_line or refusal):
            return
        values = self._values_of(self._clock(), head, record, status, bytes_out, duration_s, part)
        if refusal:
            self.refusals.note(values)
        if not has_line:
            return
        buffer += self._encode(values)
        if len(buffer) > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write as much as the reader takes now; a timer of the event loop calls this too."""
        buffer = self._buffer
        while buffer and self._poll.poll(0):
            try:
                written = os.write(self._fd, memoryview(buffer)[: self._whole_lines()])
            except BlockingIOError:
                return
            except OSError as error:  # the disk is full, or the reader gone: requests go on
                if not self._is_failing:
                    _log.error("the access log takes no lines: %s", error.strerror)
                self._is_failing = True
                return
            del buffer[:written]
            if self._is_failing:
                self._is_failing = False
                _log.info("the access log takes lines again")

    def _whole_lines(self) -> int:
        """Bytes to write at once, in whole lines: other processes write to the same file."""
        return self._buffer.rfind(b"\n", 0, self._write_bytes) + 1 or self._write_bytes
