"""
The line table in C, where it was built; `LineTable` is its reference.

It accepts the same lines. It judges all of them in each head, which costs less than to look them
up, and makes values of those that are asked for. So what is kept are names, and Cookie lines: their
values have a memo.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.core.request import ReceivedLines
from gateway.proxy.http1.line_table import JudgedFields, LineTable, NameTable
from gateway.util.kernel import KERNEL

if TYPE_CHECKING:
    from gateway._kernel import LineReader


class KernelTable(LineTable):
    """Reads the field lines of heads; made only where there is a kernel."""

    __slots__ = ("_read",)

    def __init__(self, known_names: Iterable[istr], reader: "type[LineReader]") -> None:
        """``known_names``: those for which the parser has a spelling of its own."""
        names = tuple(known_names)
        super().__init__(names)
        self._read = reader(
            NameTable(names).text_of,
            self._lines,
            self._lines.judge_cookie,
            ReceivedLines,
            _multidict,
        ).read

    def read(self, block: bytes, max_fields: int) -> JudgedFields | None:
        """Read the lines of ``block``, as `LineTable.read` does."""
        fields: JudgedFields | None = self._read(block, max_fields)
        return fields


def line_table(known_names: Iterable[istr]) -> LineTable:
    """Make the table of a worker: in C, or in Python."""
    if KERNEL is None:
        return LineTable(known_names)
    return KernelTable(known_names, KERNEL.LineReader)


def _multidict(pairs: Sequence[tuple[str, str]]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))
