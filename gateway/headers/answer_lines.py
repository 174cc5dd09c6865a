"""
Heads of answers that are judged by their lines instead of being parsed.

Most lines of an app's answers repeat, where heads do not: a length, a Date or an ETag differs. So
each line is judged once. What is judged here is a narrow form, in which a line cannot mean anything
else to the parser; all other heads are left to the parser, and the tests compare the two.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from gateway.headers.answer_limits import COST, LIMIT_FIELDS
from gateway.headers.fields import CRLF, FieldAction, FieldActions
from gateway.util.generations import Generations

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [!-~](?:[ -~]*[!-~])?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.1
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5: tab alone may pass
_WITHOUT_BODY = frozenset({204, 304})
_STATUSES = {
    f"HTTP/1.1 {status.value} {status.phrase}".encode(): status.value
    for status in HTTPStatus
    if status.value >= HTTPStatus.OK
}
_MAX_NAMES = 256
_MAX_NAME_BYTES = 128
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
_IS_ODD = _UNFIT | _IS_SECRET
_SINGLE = {name: 16 << index for index, name in enumerate(_SINGLE_NAMES)}
_HAS_LIMITS = 16 << len(_SINGLE_NAMES)
_HAS_COST = _HAS_LIMITS << 1
_NOT_TWICE = _UNFIT | _HAS_COST | sum(_SINGLE.values())
_MARKS = {
    b"date": _HAS_DATE,
    b"set-cookie": _IS_SECRET,
    COST: _HAS_COST,
    **_SINGLE,
    **dict.fromkeys(LIMIT_FIELDS, _HAS_LIMITS),
}
_CORS_NAME = b"access-control-"

SetsSession = Callable[[bytes], bool]
"""Says whether the value of a Set-Cookie sets the session cookie."""

AnswerLine = tuple[bytes, int]
"""
A field line as it was judged: the line for the client with its CRLF, or empty if it is dropped; and
what it says of its head, as bits. Of a name: how its lines begin, and the same bits.
"""

_UNFIT_LINE = b"", _UNFIT
_DROPPED_LINE = b"", 0


class AnswerHead(NamedTuple):
    """A final head, without the line that frames the body; its answer keeps the connection."""

    status: int
    block: bytes
    """Status line and field lines for the client, each with its CRLF, without framing fields."""
    has_date: bool
    has_cors: bool
    """Whether the app wrote CORS fields, which the gateway may have to replace."""
    has_limits: bool = False
    """Whether the app wrote fields about rate limits, which the gateway may have to replace."""
    cost: str = ""
    """What the app says that the request cost, as it wrote it; empty for nothing."""


class _AnswerNames(Generations[bytes, AnswerLine]):
    """Field names by their bytes, as apps spell them."""

    def __init__(self, actions: FieldActions) -> None:
        super().__init__(_MAX_NAMES)
        self._actions = actions

    def __missing__(self, name: bytes) -> AnswerLine:
        judged = self.renew(name)
        if judged is None:
            judged = self._judge(name)
            if len(name) <= _MAX_NAME_BYTES:
                self.keep(name, judged)
        return judged

    def _judge(self, name: bytes) -> AnswerLine:
        lower = name.lower()
        if lower in _FRAMING or not _NAME.fullmatch(name):
            return _UNFIT_LINE
        marks = _HAS_CORS if lower.startswith(_CORS_NAME) else _MARKS.get(lower, 0)
        is_kept = self._actions[name] is not FieldAction.DROP
        return name + b": " if is_kept else b"", marks


class _AnswerLines(Generations[bytes, AnswerLine]):
    """Field lines by their bytes, without their CRLF."""

    def __init__(self, actions: FieldActions, sets_session: SetsSession) -> None:
        super().__init__(_MAX_LINES)
        self._names = _AnswerNames(actions)
        self._sets_session = sets_session

    def __missing__(self, line: bytes) -> AnswerLine:
        judged = self.renew(line)
        if judged is None:
            judged = self._judge(line)
            if len(line) <= _MAX_LINE_BYTES and not judged[1] & _IS_SECRET:
                self.keep(line, judged)
        return judged

    def _judge(self, line: bytes) -> AnswerLine:
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        if not value or _CONTROL.search(value):
            return _UNFIT_LINE
        start, marks = self._names[name]
        if marks & _IS_ODD:
            if marks & _IS_SECRET:
                return b"" if self._sets_session(value) else start + value + CRLF, marks
            is_usual = name.lower() == b"connection" and value.lower() == _KEEP_ALIVE
            return _DROPPED_LINE if is_usual else _UNFIT_LINE
        return start and start + value + CRLF, marks


class AnswerHeads(Generations[tuple[bytes, bytes | None], AnswerHead | None]):
    """
    Heads by the bytes before and after the line that frames the body, which the caller has judged.

    The key is the lines before it, without the last CRLF, and those behind it; None in their place
    for a head without such a line, of an answer without a body. The value is None for a head that
    the parser has to read. A head with Set-Cookie is judged by its lines each
    time, and not kept: it may hold a credential, and hardly comes again.
    """

    def __init__(self, actions: FieldActions, sets_session: SetsSession) -> None:
        """``actions`` are those of the answers of apps, which must not set the session cookie."""
        super().__init__(_MAX_HEADS)
        self._lines = _AnswerLines(actions, sets_session)

    def __missing__(self, around_framing: tuple[bytes, bytes | None]) -> AnswerHead | None:
        known = self.renew(around_framing)
        if known is not None:
            return known
        before, after = around_framing
        lines = before.split(CRLF)
        if after:
            lines += after[: -len(CRLF)].split(CRLF)
        status = _STATUSES.get(lines[0]) or _other_status(lines[0])
        if not status or (status in _WITHOUT_BODY) is not (after is None):
            return None
        marks, cost = _UNFIT, ""  # so that a line that is unfit is one too many
        lines[0] += CRLF
        judged = self._lines
        for index in range(1, len(lines)):
            line = lines[index]
            lines[index], mark = judged[line]
            if marks & mark & _NOT_TWICE:
                return None
            marks |= mark
            if mark & _HAS_COST:
                cost = line.partition(b":")[2].strip(b" \t").decode("latin-1")
        head = AnswerHead(
            status,
            b"".join(lines),
            bool(marks & _HAS_DATE),
            bool(marks & _HAS_CORS),
            bool(marks & _HAS_LIMITS),
            cost,
        )
        if not marks & _IS_SECRET:
            self.keep(around_framing, head)
        return head

    def forget_unused(self) -> None:
        """Drop the heads and lines that no answer had since the call before."""
        self.begin()
        self._lines.begin()


def _other_status(line: bytes) -> int:
    """Return the status in a line with a reason phrase of the app's own; 0 to parse the head."""
    match = _STATUS_LINE.fullmatch(line)
    return int(match[1]) if match is not None else 0
