"""Server-sent events of ``/subscribe``, ``/psubscribe`` and ``/monitor``."""

import re
from typing import Final

from gateway.upstash.resp import RespValue, StatusReply

_SOURCE: Final = re.compile(rb"^([0-9.]+) \[[0-9]+ [^\]]*\]")
_OWN_COMMAND: Final = re.compile(rb'^[0-9.]+ \[[^\]]*\] "(?:ACL|AUTH)" ')
"""Commands that this server sends for itself; over REST, they are not available."""


def event_of(value: RespValue) -> bytes:
    """
    Write a message of the store as an event: ``message,chat,hello``; a line of MONITOR as it is.

    A message of several lines is an event of several ``data`` lines (HTML, section 9.2). Lines of
    MONITOR about this server's own commands make no event: nothing is returned.
    """
    match value:
        case list():
            text = b",".join(_field(part) for part in value)
        case StatusReply(b"OK"):
            text = b'"OK"'
        case StatusReply(line):
            if _OWN_COMMAND.match(line):
                return b""
            text = _SOURCE.sub(rb"\1 [0 0.0.0.0:0]", line)
        case _:
            text = _field(value)
    return b"".join(b"data: %b\n" % line for line in _lines(text)) + b"\n"


def _lines(text: bytes) -> list[bytes]:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


def _field(value: RespValue) -> bytes:
    match value:
        case bytes():
            return value
        case int():
            return b"%d" % value
    return b""
