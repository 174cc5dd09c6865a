"""
A table of the field lines that clients have sent: each is judged once, however many heads it is in.

Lines repeat where heads do not: a browser sends the same dozen lines with each path, query and id.
The table accepts a part of HTTP/1.1 alone: lines of the form ``Name: value``, in visible ASCII,
whose meaning does not depend on other lines. A head with any other line is left to the parser, as
is one that frames a body in chunks, upgrades, or ends its connection. What the table accepts the
parser would have read the same; ``tests/unit/proxy/http1/test_line_table.py`` compares them.
"""

import re
from collections.abc import Iterable

from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.core.request import ReceivedLines, ValueWithMemo
from gateway.headers.fields import LearntByName, normalise_name
from gateway.headers.hop_by_hop import HOP_BY_HOP
from gateway.util.generations import Generations

MAX_HEAD_BYTES = 4096
"""Of a head that is looked up: one of lines that are all new costs more here than in the parser."""
_MAX_NEW_LINES = 20
"""In one head: to judge more of them would cost more than to parse it."""
_MAX_KEPT_BYTES = 512
"""Of a line that is kept; longer ones are judged each time."""
_GENERATION_BYTES = 2 * 1024 * 1024
"""What the lines of one generation may take. There are two: so 4 MiB in each worker."""
_LINE_OVERHEAD_BYTES = 320
"""What a kept line takes, besides its name and value twice: as bytes, and as text."""
_GENERATION_HEADS, _MAX_KEPT_NAMES = 128, 32
"""How many lists of names one generation holds, and of how many names: 1 MiB at the most."""
_MEMO_BYTES = 512
"""What the memo of a kept line takes, besides the parts of the line that it holds."""
_UNUSED_S = 30.0
"""A line is forgotten when it was not used for so long; at the latest after twice this."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
"""A token (RFC 9110 section 5.6.2)."""
_EXACT_VALUES = {
    "Connection": re.compile("[Kk]eep-[Aa]live"),
    "Content-Length": re.compile("[1-9][0-9]{0,17}"),
}
"""Fields of framing that are read in these forms alone."""
_LEFT_TO_PARSER = HOP_BY_HOP | {"connection", "content-length", "expect"}
_PREFIXES_LEFT_TO_PARSER = ("proxy-", "sec-websocket-")

_SEPARATOR = b": "
_CRLF = b"\r\n"
_LENGTH = istr("Content-Length")
_HOST = istr("Host")
_COOKIE = istr("Cookie")


class NotTabular(ValueError):
    """A line that the table does not accept."""


JudgedFields = tuple[CIMultiDictProxy[str], ReceivedLines, int]
"""The field lines of a head, for look-ups and as received, and Content-Length; 0 without one."""


class LineTable:
    """Reads the field lines of heads; one for each worker."""

    __slots__ = ("_find", "_fresh_until_s", "_has_length", "_lines")

    def __init__(self, known_names: Iterable[istr]) -> None:
        """``known_names``: those for which the parser has a spelling of its own."""
        self._lines = _JudgedLines(known_names)
        self._find = self._lines.__getitem__
        self._has_length: Generations[tuple[str, ...], bool] = Generations(_GENERATION_HEADS)
        """By the names of a head, in order: clients send the same with other values."""
        self._fresh_until_s = 0.0

    def __len__(self) -> int:
        """Return how many lines are kept."""
        return len(self._lines) + len(self._lines.older)

    def read(self, block: bytes, max_fields: int) -> JudgedFields | None:
        """
        Read the lines of ``block``, which ends with an empty one.

        None where the parser has to judge: it may accept them, or refuse them.
        """
        lines = block[:-4].split(_CRLF)
        if len(lines) > max_fields:
            return None
        self._lines.may_judge = _MAX_NEW_LINES
        try:
            headers = CIMultiDict(list(map(self._find, lines)))
        except ValueError:
            return None
        names = tuple(headers)
        if len(names) < len(lines):
            return None  # a name is repeated, which the parser may refuse
        has_length = self._has_length.get(names)
        if has_length is None and (has_length := self._judge_names(names)) is None:
            return None
        body_bytes = int(headers[_LENGTH]) if has_length else 0
        # Half the time of a call of the class.
        received = tuple.__new__(ReceivedLines, (names, lines))
        return CIMultiDictProxy(headers), received, body_bytes

    def _judge_names(self, names: tuple[str, ...]) -> bool | None:
        """Return whether Content-Length is among ``names``; None where the parser has to judge."""
        if len(set(map(str.lower, names))) < len(names) or _HOST not in names:
            return None  # multidict 7 lists a name once, however it is spelled; 6 does not
        has_length = self._has_length.renew(names)
        if has_length is None:
            has_length = _LENGTH in names
            if len(names) <= _MAX_KEPT_NAMES:
                self._has_length.keep(names, has_length)
        return has_length

    def check_deadline(self, now_s: float) -> None:
        """Forget lines that were not used for a while: some hold credentials."""
        if now_s >= self._fresh_until_s:
            self._fresh_until_s = now_s + _UNUSED_S
            self._lines.begin_generation()


class _JudgedLines(dict[bytes, tuple[str, str]]):
    """
    Name and value by line, in two generations.

    A full generation becomes the older one, and a line that is found there moves to the new one: so
    lines that come once push out no line that is in use.
    """

    __slots__ = ("_names", "_room_bytes", "_usual_names", "may_judge", "older")

    def __init__(self, known_names: Iterable[istr]) -> None:
        super().__init__()
        self.older: dict[bytes, tuple[str, str]] = {}
        self.may_judge = 0
        """How many lines of the head under way may still be judged."""
        self._room_bytes = _GENERATION_BYTES
        names = NameTable(known_names)
        self._names = LearntByName(names.text_of)
        self._usual_names = LearntByName(names.usual_text_of)

    def begin_generation(self) -> None:
        """Forget the older generation, and begin a new one."""
        self.older = self.copy()
        self.clear()
        self._room_bytes = _GENERATION_BYTES

    def __missing__(self, line: bytes) -> tuple[str, str]:
        """Return name and value as the parser does. Raises `ValueError` where it has to judge."""
        judged = self.older.get(line)
        if judged is None:
            self.may_judge -= 1
            raw_name, _, raw_value = line.partition(_SEPARATOR)
            name, value = self._usual_names[raw_name], raw_value.decode("ascii")
            if not value.isprintable() or value.strip() != value or not value:
                raise NotTabular
            if self.may_judge < 0:
                raise NotTabular
            judged = (name, value) if name is not None else self._judge_peculiar(line, value)
        elif type(judged[1]) is ValueWithMemo:
            self._room_bytes -= _MEMO_BYTES + len(line)
        size_bytes = len(line)
        if size_bytes <= _MAX_KEPT_BYTES:
            self._room_bytes -= size_bytes + size_bytes + _LINE_OVERHEAD_BYTES
            if self._room_bytes < 0:
                self.begin_generation()
            self[line] = judged
        return judged

    def _judge_peculiar(self, line: bytes, value: str) -> tuple[str, str]:
        """Judge a line whose name says more of its value, or that is for the parser."""
        name = self._names[line.partition(_SEPARATOR)[0]]
        if name is None:
            raise NotTabular
        if name == _COOKIE:
            return name, self._with_memo(line, value)
        if _EXACT_VALUES[name].fullmatch(value) is None:
            raise NotTabular
        return name, value

    def judge_cookie(self, line: bytes) -> str:
        """Return the value of a Cookie line whose form was judged."""
        self.may_judge = 1
        return self[line][1]

    def _with_memo(self, line: bytes, value: str) -> ValueWithMemo:
        self._room_bytes -= _MEMO_BYTES + len(line)
        return ValueWithMemo.begin(value)


class NameTable:
    """The spelling in which the parser hands over a name."""

    __slots__ = ("_known",)

    def __init__(self, known_names: Iterable[istr]) -> None:
        self._known = {name.lower(): name for name in known_names}

    def text_of(self, raw_name: bytes) -> istr | None:
        """
        Return a name as the parser does; None where it has to judge.

        Raises `NotTabular` for what is no name: it is not learnt, as it may be a whole line, with
        the credential in it (``Cookie:session=x``, without the space).
        """
        if _NAME.fullmatch(raw_name) is None:
            raise NotTabular
        text = raw_name.decode("ascii")
        name, normalised = self._known.get(text.lower(), text), normalise_name(text)
        if name in _EXACT_VALUES:
            return istr(name)
        if normalised in _LEFT_TO_PARSER or normalised.startswith(_PREFIXES_LEFT_TO_PARSER):
            return None
        return istr(name)

    def usual_text_of(self, raw_name: bytes) -> istr | None:
        """Return a name that says nothing of its value; None for all others."""
        name = self.text_of(raw_name)
        return None if name == _COOKIE or name in _EXACT_VALUES else name
