"""
Clients repeat themselves: after its first line, a head is mostly what it was the last time.

So what was parsed is kept for each connection, and used again where the same bytes come. The parser
has judged these very bytes before, in the same place, so its verdict is still the verdict. Only a
head that is all of a read is looked at, and only one without a body.
"""

import re
from typing import NamedTuple

from multidict import CIMultiDictProxy

from gateway.core.request import FieldMemo, RawFields

_LINE = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (/[!-\"$-~]*) HTTP/1\.1\r\n")
_MAX_BYTES = 4096
"""Of a head that is remembered: what one connection may keep in memory."""


class ParsedFields(NamedTuple):
    """The field lines of a head, parsed."""

    headers: CIMultiDictProxy[str]
    raw_fields: RawFields
    memo: FieldMemo


class HeadCache:
    """The field lines that came last on a connection from a client."""

    __slots__ = ("_block", "_fields", "_max_bytes")

    def __init__(self, head_bytes: int) -> None:
        """No head of more than ``head_bytes`` passes here: only the parser refuses it."""
        self._max_bytes = min(head_bytes, _MAX_BYTES)
        self._block = b""
        self._fields: ParsedFields | None = None

    def recall(self, data: bytes) -> tuple[str, str, ParsedFields] | None:
        """
        Method, target and fields of the request that a read holds.

        None where it is not a whole head, or does not repeat the field lines of the one before.
        """
        if self._fields is None or len(data) > self._max_bytes:
            return None
        line = _LINE.match(data)
        if line is None or data[line.end() :] != self._block:
            return None
        return line[1].decode("ascii"), line[2].decode("ascii"), self._fields

    def learn(
        self, head: bytes, headers: CIMultiDictProxy[str], raw_fields: RawFields
    ) -> FieldMemo | None:
        """
        Keep what was parsed from a head without a body, once it has repeated the one before.

        The memo is for what is derived from the fields; None where they are not kept.
        """
        line = _LINE.match(head)
        if line is None or len(head) > self._max_bytes:
            return None
        block = head[line.end() :]
        if block != self._block:  # it may never come again
            self._block, self._fields = block, None
            return None
        self._fields = ParsedFields(headers, raw_fields, {})
        return self._fields.memo

    def forget(self) -> None:
        """Free the memory."""
        self._block, self._fields = b"", None
