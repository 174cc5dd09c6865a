"""
The check of audit files: what was changed, removed, reordered or cut, and in which line.

Lines are fed in the order of the files; heads are those that the store had *before* the files were
read, as a gateway may append meanwhile. The order between writers is that of their times alone: no
chain binds it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.audit.chain import (
    FIRST_PREV,
    AuditLine,
    Head,
    fingerprint,
    is_genuine,
    machine_in_writer,
    read_line,
)
from gateway.core.audit import AuditEvent
from gateway.core.word import WordWithMeaning

HEAD_KEPT_MS: Final = 400 * 24 * 3600 * 1000
"""How long the store keeps the head of a writer after its latest line."""
HEAD_LAG_MS: Final = 60_000
"""A writer that began so recently may have no head yet."""
MAX_FINDINGS: Final = 10_000
"""More are counted: a file of another kind may have millions of lines."""
_MAX_GAPS: Final = 1000


class AuditFindingCode(WordWithMeaning):
    """Kinds of findings; the names are stable."""

    CHANGED = "changed", "The line is not as it was written, or was sealed with another key."
    UNREADABLE = "unreadable", "This is no line of a gateway."
    MISSING = "missing", "Lines of this writer are missing before this one."
    REORDERED = "reordered", "The line stands behind later lines of its writer."
    REPEATED = "repeated", "The line was there before."
    REPLACED = "replaced", "The line, or the one before it, is another than was written first."
    AFTER_END = "after-end", "The writer had ended its chain before this line."
    CUT = "cut", "Lines of this writer are missing after this one, as Redis knows a later one."
    CUT_START = "cut-start", "The file does not have the beginning of this writer's lines."
    GONE = "gone", "No line of this writer is left; Redis knows of some."
    NO_HEAD = "no-head", "Redis has no head of this writer: whether its end was cut is unknown."
    HALF_LINE = "half-line", "Half a line, as a crash leaves it: no complete line was lost."
    HALF_LINE_UNKNOWN = "half-line-unknown", "Half a line at the end: from a crash, or cut off."
    OLDER = "older-files", "Older lines of this writer are in a file that was not given."
    NEWER = "newer-files", "Later lines of this writer are in a file that was not given."


_NOTES: Final = {AuditFindingCode.HALF_LINE, AuditFindingCode.OLDER, AuditFindingCode.NEWER}


class AuditFinding(NamedTuple):
    """One finding, at a line of a file; line 0 is the file as a whole."""

    code: AuditFindingCode
    file: str
    line: int
    writer: str
    text: str

    @property
    def is_fault(self) -> bool:
        """Whether the file is not as gateways have written it; else it is a note."""
        return self.code not in _NOTES


@dataclass(slots=True)
class ChainState:
    """What was seen of one writer."""

    writer: str
    first: int
    last: int
    mac: str | None
    """Of the line ``last``; None where it cannot be trusted."""
    file: str
    line: int
    event: str = ""
    time_ms: int = 0
    began_ms: int = 0
    gaps: set[int] = field(default_factory=set)


class Verifier:
    """Checks the lines of some files. Feed each file, the oldest first; then call `finish`."""

    def __init__(
        self,
        keys: Sequence[bytes],
        heads: Mapping[str, Head] | None,
        now_ms: int,
        *,
        host: str = "",
        is_complete: bool = False,
    ) -> None:
        """
        ``heads`` is None where the store is not asked. ``host`` is this machine's.

        ``is_complete`` says that the files hold all that was ever written, by all machines.
        """
        self._keys = keys
        self._heads = heads
        self._now_ms = now_ms
        self._hosts = {machine_in_writer(host)}
        self._is_complete = is_complete
        self.chains: dict[str, ChainState] = {}
        self.lines: dict[str, int] = {}
        """Number of lines of each file."""
        self.findings: list[AuditFinding] = []
        self.more = 0
        """Number of findings about lines that found no room in the list."""
        self._first_ms = 0
        self._is_rotated = False
        """Whether a line says that an older file came before: it has the writers that ended."""
        self._halves: defaultdict[str, list[int]] = defaultdict(list)
        """
        Findings about what may be a half line, by its fingerprint: places in the list.

        Equal ones have a name each, so one that was added to them stays a fault.
        """
        self._file = ""
        self._number = 0

    @property
    def knows_ends(self) -> bool:
        """Whether a cut end of a file would be found: there are heads to compare it with."""
        return self._heads is not None

    # --- lines ---------------------------------------------------------------------------------

    def feed(self, file: str, lines: Iterable[bytes]) -> None:
        """Check the lines of ``file``, each with its line feed where it has one."""
        self._file, self._number = file, 0
        self._halves.clear()
        for raw in lines:
            self._number += 1
            self._take(raw)
        self.lines[file] = self._number

    def _take(self, raw: bytes) -> None:
        text = raw.removesuffix(b"\n")
        line = read_line(text)
        is_whole = text is not raw
        if line is None or not any(is_genuine(line, key) for key in self._keys):
            self._take_foreign(text, line, is_whole=is_whole)
            return
        self._first_ms = self._first_ms or line.time_ms
        self._hosts.add(line.writer.partition(":")[0])
        if line.event == AuditEvent.HALF_LINE:
            self._name(line.details.get("halves"))
        self._link(line)
        if not is_whole:
            self._judge_open_end(line.writer, line.seq)

    def _take_foreign(self, text: bytes, line: AuditLine | None, *, is_whole: bool) -> None:
        """Note a line that no key has sealed; a line of a gateway may say later what it is."""
        if len(self.findings) < MAX_FINDINGS:
            self._halves[fingerprint(text)].append(len(self.findings))
        if line is not None:
            self._find(
                AuditFindingCode.CHANGED,
                line.writer,
                "not as it was written, or sealed with another key",
            )
            self._skip(line)
        elif is_whole or self._heads is None:
            code = AuditFindingCode.UNREADABLE if is_whole else AuditFindingCode.HALF_LINE_UNKNOWN
            self._find(code, "", code.meaning)
        else:  # a complete line that was cut here is missed by the head of its writer
            self._find(AuditFindingCode.HALF_LINE, "", AuditFindingCode.HALF_LINE.meaning)

    def _skip(self, line: AuditLine) -> None:
        """Take a changed line for the next one of its writer, so that it is reported once."""
        known = self.chains.get(line.writer)
        if known is not None and line.seq == known.last + 1:
            known.last, known.mac = line.seq, None
            known.file, known.line = self._file, self._number

    def _name(self, halves: object) -> None:
        for half in halves if isinstance(halves, list) else ():
            if places := self._halves.get(str(half)):
                place = places.pop()
                text = "half a line, as the writer of a later line has found it"
                found = self.findings[place]
                self.findings[place] = found._replace(code=AuditFindingCode.HALF_LINE, text=text)

    def _judge_open_end(self, writer: str, seq: int) -> None:
        """Judge a genuine line that lacks its line feed alone."""
        if self._heads is None:
            self._find(AuditFindingCode.HALF_LINE_UNKNOWN, writer, "its line feed is missing")
            return
        head = self._heads.get(writer)
        is_cut = head is not None and head.seq >= seq
        code = AuditFindingCode.CUT if is_cut else AuditFindingCode.HALF_LINE
        self._find(code, writer, "its line feed is missing")

    # --- chains --------------------------------------------------------------------------------

    def _link(self, line: AuditLine) -> None:
        known = self.chains.get(line.writer)
        self._compare_with_head(line)
        if known is None:
            self._begin(line)
        elif line.seq <= known.last:
            self._judge_late(known, line)
            return
        else:
            self._judge_next(known, line)
            known.last, known.mac = line.seq, line.mac
            known.file, known.line = self._file, self._number
            known.event, known.time_ms = line.event, line.time_ms

    def _begin(self, line: AuditLine) -> None:
        self.chains[line.writer] = ChainState(
            line.writer,
            line.seq,
            line.seq,
            line.mac,
            self._file,
            self._number,
            line.event,
            line.time_ms,
            line.time_ms,
        )
        if line.seq == 1:
            if line.prev != FIRST_PREV:
                self._find(AuditFindingCode.REPLACED, line.writer, "it is no first line")
            return
        missing = _lines(line.seq - 1)
        if line.event == AuditEvent.FILE_OPENED and not self._is_complete:
            text = f"begins with line {line.seq}: {missing} before it are in older files"
            self._find(AuditFindingCode.OLDER, line.writer, text)
            self._is_rotated = True
        else:
            text = f"{missing} before it {_are(line.seq - 1)} missing"
            self._find(AuditFindingCode.CUT_START, line.writer, text)
            self.chains[line.writer].gaps.update(range(max(1, line.seq - _MAX_GAPS), line.seq))

    def _judge_next(self, known: ChainState, line: AuditLine) -> None:
        missing = line.seq - known.last - 1
        if known.event == AuditEvent.ENDED:
            self._find(AuditFindingCode.AFTER_END, line.writer, AuditFindingCode.AFTER_END.meaning)
        if missing:
            text = f"{_lines(missing)} before it {_are(missing)} missing"
            self._find(AuditFindingCode.MISSING, line.writer, text)
            known.gaps.update(range(max(known.last + 1, line.seq - _MAX_GAPS), line.seq))
        elif known.mac is not None and line.prev != known.mac:
            self._find(AuditFindingCode.REPLACED, line.writer, AuditFindingCode.REPLACED.meaning)

    def _judge_late(self, known: ChainState, line: AuditLine) -> None:
        if line.seq in known.gaps:
            known.gaps.remove(line.seq)
            text = f"line {line.seq} of its writer stands behind line {known.last}"
            self._find(AuditFindingCode.REORDERED, line.writer, text)
        else:
            text = f"line {line.seq} of its writer was there before"
            self._find(AuditFindingCode.REPEATED, line.writer, text)

    def _compare_with_head(self, line: AuditLine) -> None:
        head = (self._heads or {}).get(line.writer)
        if head is not None and head.seq == line.seq and head.mac != line.mac:
            self._find(
                AuditFindingCode.REPLACED, line.writer, "Redis knows another line in its place"
            )

    # --- the end -------------------------------------------------------------------------------

    def finish(self) -> list[AuditFinding]:
        """Compare the ends of all chains with their heads; return all findings."""
        for state in self.chains.values():
            self._judge_end(state)
        for writer, head in (self._heads or {}).items():
            if writer not in self.chains:
                self._judge_gone(writer, head)
        return self.findings

    def _judge_end(self, state: ChainState) -> None:
        if self._heads is None:
            return
        head = self._heads.get(state.writer)
        if head is None:
            is_kept = self._now_ms - state.time_ms < HEAD_KEPT_MS
            is_new = self._now_ms - state.began_ms < HEAD_LAG_MS
            if is_kept and not is_new and state.event != AuditEvent.ENDED:
                text = AuditFindingCode.NO_HEAD.meaning
                self._at_end(state, AuditFindingCode.NO_HEAD, text)
        elif head.seq > state.last:
            more = head.seq - state.last
            if state.event == AuditEvent.FILE_LEFT and not self._is_complete:
                text = f"{_lines(more)} after it are in newer files"
                self._at_end(state, AuditFindingCode.NEWER, text)
            else:
                text = f"{_lines(more)} after it {_are(more)} missing: Redis knows line {head.seq}"
                self._at_end(state, AuditFindingCode.CUT, text)

    def _judge_gone(self, writer: str, head: Head) -> None:
        """Judge a writer without a line; one of other files or machines says nothing."""
        is_of_these = head.file in self.lines and writer.partition(":")[0] in self._hosts
        is_recent = not self._is_rotated or head.time_ms >= self._first_ms
        if self._is_complete or (is_of_these and is_recent):
            file = head.file if head.file in self.lines else next(iter(self.lines), "")
            text = f"{_lines(head.seq)} {_are(head.seq)} missing: none is left"
            self.findings.append(AuditFinding(AuditFindingCode.GONE, file, 0, writer, text))

    def _at_end(self, state: ChainState, code: AuditFindingCode, text: str) -> None:
        self.findings.append(AuditFinding(code, state.file, state.line, state.writer, text))

    def _find(self, code: AuditFindingCode, writer: str, text: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(AuditFinding(code, self._file, self._number, writer, text))
        else:
            self.more += 1


def _lines(number: int) -> str:
    return "1 line" if number == 1 else f"{number} lines"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
