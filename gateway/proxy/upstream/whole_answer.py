"""Answers that come whole in one read: most of them need no parser."""

from typing import NamedTuple

from gateway.headers.answer_lines import AnswerHead, AnswerHeads

_HEAD_END = b"\r\n\r\n"
_LINE_END = 2
_MAX_HEAD_BYTES = 4096


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


def whole_answer(data: bytes, heads: AnswerHeads) -> WholeAnswer | None:
    """
    Return the answer in ``data`` if it is all of it, and needs no parser.

    Its length is not read: the line that states the length of the rest of ``data`` is looked for,
    in the two spellings that servers use.
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
            return None
    known = heads[before, after]
    return WholeAnswer(known, line, data[body_at:]) if known is not None else None
