"""
Answers that need no parser: a head that is known by its lines, and a body that needs no parser.

That is a body with a length; one in a few plain chunks, all of which have come; and none.
"""

import re
from typing import NamedTuple

from gateway.headers.answer_lines import AnswerHead, AnswerHeads

_HEAD_END = b"\r\n\r\n"
_CRLF = b"\r\n"
_MAX_HEAD_BYTES = 4096
_LENGTH = re.compile(rb"\r\n(?:Content-Length|content-length): ([1-9][0-9]{0,17})\r\n")
"""Of a body that is longer than what has come of it; in the two spellings that servers use."""


_CHUNKED = re.compile(rb"\r\n(?:Transfer-Encoding|transfer-encoding): chunked\r\n")
_CHUNK_LINE = re.compile(rb"([1-9a-fA-F][0-9a-fA-F]{0,6})\r\n")
"""Before a chunk that is not empty, without extensions (RFC 9112 section 7.1)."""
_LAST_CHUNK = b"0\r\n\r\n"
_MAX_CHUNKS = 16
"""More are cheaper to parse, or not worth a second look if they turn out to be incomplete."""


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


class LengthlessAnswer(NamedTuple):
    """A final answer without a length, all of which has come."""

    head: AnswerHead
    body: bytes | None
    """What was in its chunks; None for an answer that can have no body."""

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


KnownAnswer = WholeAnswer | LengthlessAnswer | BegunAnswer


def known_answer(data: bytes, heads: AnswerHeads) -> KnownAnswer | None:
    """
    Return the answer that ``data`` begins, and holds nothing but, if it needs no parser.

    Most answers are whole and have a length, which is not even read then: the line that states the
    length of the rest of ``data`` is looked for.
    """
    end = data.find(_HEAD_END, 0, _MAX_HEAD_BYTES)
    if end < 0:
        return None
    head, body_at = data[: end + len(_CRLF)], end + len(_HEAD_END)
    line = b"Content-Length: %d\r\n" % (len(data) - body_at)
    before, found, after = head.partition(_CRLF + line)
    if not found:
        before, found, after = head.partition(_CRLF + line.lower())
        if not found:
            return _other(data, head, body_at, heads)
    known = heads[before, after]
    return WholeAnswer(known, line, data[body_at:]) if known is not None else None


def _other(data: bytes, head: bytes, body_at: int, heads: AnswerHeads) -> KnownAnswer | None:
    """Return an answer without a length, or whose body is longer than what has come."""
    match = _LENGTH.search(head)
    if match is None:
        return _lengthless(data, head, body_at, heads)
    length, begun = int(match[1]), data[body_at:]
    known = heads[head[: match.start()], head[match.end() :]] if len(begun) < length else None
    if known is None:
        return None
    return BegunAnswer(known, b"Content-Length: %d\r\n" % length, length, begun)


def _lengthless(
    data: bytes, head: bytes, body_at: int, heads: AnswerHeads
) -> LengthlessAnswer | None:
    """Return an answer that ends with its head, or in chunks, where ``data`` ends."""
    if len(data) == body_at:
        known = heads[head[: -len(_CRLF)], None]
        return LengthlessAnswer(known, None) if known is not None else None
    match = _CHUNKED.search(head)
    body = _data_of_chunks(data, body_at) if match is not None else None
    if match is None or body is None:
        return None
    known = heads[head[: match.start()], head[match.end() :]]
    return LengthlessAnswer(known, body) if known is not None else None


def _data_of_chunks(data: bytes, at: int) -> bytes | None:
    """Return what is in the chunks from ``at`` on; None unless all are plain, and end ``data``."""
    if not data.endswith(_LAST_CHUNK):
        return None
    end, parts = len(data) - len(_LAST_CHUNK), list[bytes]()
    while at < end:
        line = _CHUNK_LINE.match(data, at)
        if line is None or len(parts) == _MAX_CHUNKS:
            return None
        start = line.end()
        at = start + int(line[1], 16)
        parts.append(data[start:at])
        if data[at : at + len(_CRLF)] != _CRLF:
            return None
        at += len(_CRLF)
    return b"".join(parts) if at == end else None
