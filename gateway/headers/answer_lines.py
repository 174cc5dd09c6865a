"""
Heads of answers that are judged by their lines instead of being parsed.

Most lines of an app's answers repeat, where heads do not: a length, a Date or an ETag differs. So
each line is judged once. What is judged here is a narrow form, in which a line cannot mean anything
else to the parser; all other heads are left to the parser, and the tests compare the two.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from gateway.headers.fields import CRLF
from gateway.util.generations import Generations

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [!-~](?:[ -~]*[!-~])?")
_FIELD_LINE = re.compile(  # RFC 9110 sections 5.1 and 5.5; obs-text included, no empty value
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*"
    rb"([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)"
)
_WITHOUT_BODY = frozenset({204, 304})
_MAX_LINES = 1024
_MAX_HEADS = 256
_MAX_LINE_BYTES = 512
"""
Of lines that are kept. The caller bounds heads to 4 KiB, so the table of a config takes 3 MiB for
lines and 4 MiB for heads at the most: two generations of keys, with what was judged of each.
"""

_KEEP_ALIVE = b"keep-alive"
_FRAMING = frozenset(
    {
        b"connection",
        b"content-length",
        b"proxy-connection",  # the parser reads it as Connection
        b"sec-websocket-key1",  # the parser refuses it
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that decide how a message ends, or what follows it: for the parser."""

_SINGLE_NAMES = (
    b"content-location",
    b"content-range",
    b"content-type",
    b"etag",
    b"host",
    b"max-forwards",
    b"server",
    b"user-agent",
)
"""Fields that the parser refuses to see twice."""

_UNFIT = 1
_HAS_DATE = 2
_HAS_CORS = 4
_IS_SECRET = 8
_SINGLE = {name: 16 << index for index, name in enumerate(_SINGLE_NAMES)}
_NOT_TWICE = _UNFIT | sum(_SINGLE.values())
_MARKS = {b"date": _HAS_DATE, b"set-cookie": _IS_SECRET, **_SINGLE}
_CORS_NAME = b"access-control-"

KeptLine = Callable[[bytes, bytes], bytes]
"""Returns the line for the client, with its CRLF, of a name and a value; empty to drop it."""


class AnswerLine(NamedTuple):
    """A field line as it was judged."""

    kept: bytes
    """The line for the client, with its CRLF; empty if it is dropped."""
    marks: int
    """What the line says of its head, as bits."""


class AnswerHead(NamedTuple):
    """A final head, without its Content-Length, of an answer that keeps its connection."""

    status: int
    block: bytes
    """Status line and field lines for the client, each with its CRLF, without framing fields."""
    has_date: bool
    has_cors: bool
    """Whether the app wrote CORS fields, which the gateway may have to replace."""


_UNFIT_LINE = AnswerLine(b"", _UNFIT)


class _AnswerLines(Generations[bytes, AnswerLine]):
    """Field lines by their bytes, without their CRLF."""

    def __init__(self, kept_line: KeptLine) -> None:
        super().__init__(_MAX_LINES)
        self._kept_line = kept_line

    def __missing__(self, line: bytes) -> AnswerLine:
        judged = self.renew(line)
        if judged is None:
            judged = self._judge(line)
            if len(line) <= _MAX_LINE_BYTES and not judged.marks & _IS_SECRET:
                self.keep(line, judged)
        return judged

    def _judge(self, line: bytes) -> AnswerLine:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            return _UNFIT_LINE
        name, value = match.groups()
        lower = name.lower()
        if lower in _FRAMING and not (lower == b"connection" and value.lower() == _KEEP_ALIVE):
            return _UNFIT_LINE
        marks = _HAS_CORS if lower.startswith(_CORS_NAME) else _MARKS.get(lower, 0)
        return AnswerLine(self._kept_line(name, value), marks)


class AnswerHeads(Generations[tuple[bytes, bytes], AnswerHead | None]):
    """
    Heads by the bytes before and after their Content-Length, which the caller has judged.

    The key is the lines before it, without the last CRLF, and those behind it. The value is None
    for a head that the parser has to read. A head with Set-Cookie is judged by its lines each
    time, and not kept: it may hold a credential, and hardly comes again.
    """

    def __init__(self, kept_line: KeptLine) -> None:
        super().__init__(_MAX_HEADS)
        self._lines = _AnswerLines(kept_line)

    def __missing__(self, around_length: tuple[bytes, bytes]) -> AnswerHead | None:
        known = self.renew(around_length)
        if known is not None:
            return known
        before, after = around_length
        status_line, *lines = before.split(CRLF)
        lines += after.split(CRLF)[:-1]
        status = _STATUS_LINE.fullmatch(status_line)
        if status is None or int(status[1]) in _WITHOUT_BODY:
            return None
        marks = _UNFIT  # so that a line that is unfit is one too many
        kept = [status_line, CRLF]
        for line in lines:
            of_client, mark = self._lines[line]
            if marks & mark & _NOT_TWICE:
                return None
            marks |= mark
            kept.append(of_client)
        has_date, has_cors = bool(marks & _HAS_DATE), bool(marks & _HAS_CORS)
        head = AnswerHead(int(status[1]), b"".join(kept), has_date, has_cors)
        if not marks & _IS_SECRET:
            self.keep(around_length, head)
        return head
