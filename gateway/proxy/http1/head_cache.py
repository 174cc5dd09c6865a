"""
The fields that a client connection sent last, with what was derived from them.

Most programs, and some browsers, send the same field lines with every request. Where the same bytes
come again, so does their judged form, with a memo of what stages found in them: which credentials
they carry, for one, and the lines for the app.
"""

from multidict import CIMultiDictProxy

from gateway.core.request import FieldMemo, ReceivedLines
from gateway.proxy.http1.line_table import LineTable

FieldsAndMemo = tuple[CIMultiDictProxy[str], ReceivedLines, int, FieldMemo | None]
"""The fields for look-ups and as received, Content-Length (0 without one), and their memo."""


class HeadCache:
    """Keeps the field lines that came last on a client connection."""

    __slots__ = ("_block", "_max_fields", "_repeated", "_table")

    def __init__(self, table: LineTable, max_fields: int) -> None:
        """Read lines by ``table``; heads of more than ``max_fields`` are left to the parser."""
        self._table = table
        self._max_fields = max_fields
        self._block = b""
        self._repeated: FieldsAndMemo | None = None

    def read(self, block: bytes) -> FieldsAndMemo | None:
        """
        Return the fields in ``block``, the lines of a head up to its end; None for the parser.

        They have a memo if they repeat those before: most that differ come once.
        """
        is_repeated = block == self._block
        if is_repeated and self._repeated is not None:
            return self._repeated
        self._block, self._repeated = b"", None
        fields = self._table.read(block, self._max_fields)
        if fields is None:
            return None
        self._block = block
        if is_repeated:
            self._repeated = (*fields, {})
            return self._repeated
        return (*fields, None)

    @property
    def is_empty(self) -> bool:
        """Whether no fields are kept."""
        return not self._block

    def forget(self) -> None:
        """Free the memory of the cached fields."""
        self._block, self._repeated = b"", None
