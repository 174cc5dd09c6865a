"""
One JSON line for each request.

Lines are collected and written ten times a second, or earlier when many have come together. A
reader that does not keep up never stops the loop: what it does not take is kept up to a bound, then
dropped and counted. Nothing secret is in a line: no query, no cookie, no token.
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

_MAX_KEPT_BYTES = 8 * 1024 * 1024
_FLUSH_BYTES = 32 * 1024
_MAX_REFUSED_PATH = 200
_PATH_END = re.compile(r"[?#]")


class AccessLog:
    """Writes what became of each request to a file descriptor, without waiting for its reader."""

    def __init__(self, fd: int, clock: Clock, counters: Counters) -> None:
        self._fd = fd
        self._count = counters.request
        self._clock = clock
        self._buffer = bytearray()
        """Grown in place: lines kept apart would each touch memory that is cold (5 µs a line)."""
        self.dropped = 0
        """Lines given up because the reader did not keep up."""
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._write_bytes = 1024 * 1024 if is_file else select.PIPE_BUF
        """A pipe that can be written to takes this much without waiting (pipe(7))."""

    def __call__(
        self,
        head: RequestHead | None,
        record: RequestRecord,
        status: int,
        bytes_out: int,
        duration_s: float,
    ) -> None:
        """Note one request; see `gateway.proxy.downstream.server.LogRequest`."""
        served_s = duration_s - record.tunnel_s
        self._count(status, record.refusal, served_s, record.reason, record.auth_method)
        if len(self._buffer) > _MAX_KEPT_BYTES:
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
        self._buffer += orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        if len(self._buffer) > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what the reader takes now; called by a timer of the loop as well."""
        buffer = self._buffer
        while buffer and self._poll.poll(0):
            try:
                written = os.write(self._fd, memoryview(buffer)[: self._whole_lines()])
            except OSError:  # the reader is gone; requests matter more than their log
                return
            del buffer[:written]

    def _whole_lines(self) -> int:
        """How much to write at once: other processes write lines to the same place."""
        return self._buffer.rfind(b"\n", 0, self._write_bytes) + 1 or self._write_bytes


def _refused_path(head: RequestHead | None) -> str:
    """
    The path of a target that was not accepted, if it has one.

    Query and fragment may hold secrets, and so may the authority of an absolute-form target.
    """
    if head is None or not head.target.startswith("/"):
        return ""
    return _PATH_END.split(head.target, maxsplit=1)[0][:_MAX_REFUSED_PATH]
