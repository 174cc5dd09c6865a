"""Answers that need no parser: a head that is known by its lines, and a body with a length."""

import re
from typing import NamedTuple

from gateway.headers.answer_lines import AnswerHead, AnswerHeads

_HEAD_END = b"\r\n\r\n"
_LINE_END = 2
_MAX_HEAD_BYTES = 4096
_LENGTH = re.compile(rb"\r\n(?:Content-Length|content-length): ([1-9][0-9]{0,17})\r\n")
"""Of a body that is longer than what has come of it; in the two spellings that servers use."""


class WholeAnswer(NamedTuple):
    """A final answer with a length, all of whose body has come."""

    head: AnswerHead
    length_line: bytes
    """The Content-Length for the client, with its CRLF."""
    body: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status


class BegunAnswer(NamedTuple):
    """A final answer with a length, whose body is still to come, or in part."""

    head: AnswerHead
    length_line: bytes
    """The Content-Length for the client, with its CRLF."""
    length: int
    begun: bytes
    """What has come of the body."""


def known_answer(data: bytes, heads: AnswerHeads) -> WholeAnswer | BegunAnswer | None:
    """
    Return the answer that ``data`` begins, and holds nothing but, if it needs no parser.

    Most answers are whole, and then the length is not even read: the line that states the length
    of the rest of ``data`` is looked for.
    """
    end = data.find(_HEAD_END, 0, _MAX_HEAD_BYTES)
    if end < 0:
        return None
    head, body_at = data[: end + _LINE_END], end + len(_HEAD_END)
    line = b"Content-Length: %d\r\n" % (len(data) - body_at)
    before, found, after = head.partition(b"\r\n" + line)
    if not found:
        before, found, after = head.partition(b"\r\n" + line.lower())
        if not found:
            return _begun(data, head, body_at, heads)
    known = heads[before, after]
    return WholeAnswer(known, line, data[body_at:]) if known is not None else None


def _begun(data: bytes, head: bytes, body_at: int, heads: AnswerHeads) -> BegunAnswer | None:
    """Return an answer whose head was found, and its body is longer than what has come."""
    match = _LENGTH.search(head)
    if match is None:
        return None
    length, begun = int(match[1]), data[body_at:]
    known = heads[head[: match.start()], head[match.end() :]] if len(begun) < length else None
    if known is None:
        return None
    return BegunAnswer(known, b"Content-Length: %d\r\n" % length, length, begun)
