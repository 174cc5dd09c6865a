"""
The access log: one JSON line for each request.

Lines are buffered and written ten times a second, or earlier when many have accumulated. A slow
reader never blocks the event loop: the buffer grows up to a bound, then lines are dropped and
counted. No line holds a secret: no query, no cookie, no token.
"""

import os
import re
import select
import stat

import orjson

from gateway.core.ports import Clock
from gateway.core.record import RequestRecord
from gateway.core.request import RequestHead
from gateway.telemetry.counters import Counters

_MAX_BUFFERED_BYTES = 8 * 1024 * 1024
_FLUSH_BYTES = 32 * 1024
_MAX_REFUSED_PATH = 200
_PATH_END = re.compile(r"[?#]")


class AccessLog:
    """Writes the outcome of each request to a file descriptor, without waiting for its reader."""

    def __init__(self, fd: int, clock: Clock, counters: Counters) -> None:
        self._fd = fd
        self._count = counters.request
        self._clock = clock
        self._buffer = bytearray()
        """Grown in place: separate lines would each touch cold memory (5 µs a line)."""
        self.dropped = 0
        """Number of lines dropped because the reader was too slow."""
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._write_bytes = 1024 * 1024 if is_file else select.PIPE_BUF
        """A writable pipe takes this much without blocking (pipe(7))."""

    def write_request(
        self,
        head: RequestHead | None,
        record: RequestRecord,
        status: int,
        bytes_out: int,
        duration_s: float,
    ) -> None:
        """Log and count one request; see `gateway.proxy.downstream.server.LogRequest`."""
        served_s = duration_s - record.tunnel_s
        self._count(status, record.refusal, served_s, record.reason, record.auth_method)
        buffer = self._buffer
        if len(buffer) > _MAX_BUFFERED_BYTES:
            self.dropped += 1
            return
        line = {
            "time": int(self._clock() * 1000) / 1000,
            "id": head.request_id if head else record.request_id,
            "client": record.client,
            "method": head.method if head else "",
            "host": record.host,
            "path": record.path or _refused_path(head),
            "route": record.route,
            "status": status,
            "bytes": bytes_out,
            "ms": int(duration_s * 1_000_000) / 1000,
            "issuer": record.issuer,
            "auth": record.auth_method,
            "refusal": record.refusal,
            "reason": record.reason,
        }
        if record.checked:
            line["verify"] = record.checked
        if record.tunnel:
            line |= {"tunnel": record.tunnel, "bytes_in": record.tunnel_bytes_in}
        buffer += orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        if len(buffer) > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write as much as the reader takes now; a timer of the event loop calls this too."""
        buffer = self._buffer
        while buffer and self._poll.poll(0):
            try:
                written = os.write(self._fd, memoryview(buffer)[: self._whole_lines()])
            except OSError:  # the reader is gone: requests go on without a log
                return
            del buffer[:written]

    def _whole_lines(self) -> int:
        """Bytes to write at once, in whole lines: other processes write to the same file."""
        return self._buffer.rfind(b"\n", 0, self._write_bytes) + 1 or self._write_bytes


def _refused_path(head: RequestHead | None) -> str:
    """
    Path of a target that was not accepted, if it has one.

    Query and fragment may hold secrets, and so may the authority of an absolute-form target.
    """
    if head is None or not head.target.startswith("/"):
        return ""
    return _PATH_END.split(head.target, maxsplit=1)[0][:_MAX_REFUSED_PATH]
