"""
A cache of one parsed head for each client connection.

Most clients send the same field lines with every request, so their parsed form is reused when the
same bytes come again. That is safe, since the parser has accepted exactly these bytes in the same
position. Only a head without a body that fills a whole read is looked up.
"""

import re
from typing import NamedTuple

from multidict import CIMultiDictProxy

from gateway.core.request import FieldMemo, RawFields

_LINE = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (/[!-\"$-~]*) HTTP/1\.1\r\n")
_MAX_BYTES = 4096
"""Longest head that is kept: it takes memory for as long as its connection is open."""


class ParsedFields(NamedTuple):
    """The field lines of a head, parsed."""

    headers: CIMultiDictProxy[str]
    raw_fields: RawFields
    memo: FieldMemo


class HeadCache:
    """Keeps the field lines that came last on a client connection."""

    __slots__ = ("_block", "_fields", "_max_bytes")

    def __init__(self, head_bytes: int) -> None:
        """Make a cache that ignores heads of more than ``head_bytes``, which the parser refuses."""
        self._max_bytes = min(head_bytes, _MAX_BYTES)
        self._block = b""
        self._fields: ParsedFields | None = None

    def recall(self, data: bytes) -> tuple[str, str, ParsedFields] | None:
        """
        Return method, target and fields of the request in ``data``.

        None if it is not a whole head, or does not repeat the field lines of the one before.
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
        Keep the parsed form of a head without a body, if it repeats the one before.

        Returns a memo for values that are derived from the fields; None if they are not kept.
        """
        line = _LINE.match(head)
        if line is None or len(head) > self._max_bytes:
            return None
        block = head[line.end() :]
        if block != self._block:  # most heads that differ come once
            self._block, self._fields = block, None
            return None
        self._fields = ParsedFields(headers, raw_fields, {})
        return self._fields.memo

    def forget(self) -> None:
        """Free the memory of the cached head."""
        self._block, self._fields = b"", None
