"""Field lines: names as the laxest app reads them, and which lines are kept."""

from collections.abc import Callable, Iterable
from enum import Enum, auto

from gateway.core.request import RawFields

_TO_HYPHEN = str.maketrans(dict.fromkeys("_.!#$%&'*+^`|~", "-"))


_MAX_NAMES = 1024


CRLF = b"\r\n"


def normalise_name(name: str) -> str:
    """
    As the laxest app will see it: CGI and WSGI read ``X_User-Issuer`` as ``X-User-Issuer``.

    Every punctuation character that a field name may hold counts as a hyphen (CVE-2025-64484,
    CVE-2026-52845, CVE-2026-88011).
    """
    return name.lower().translate(_TO_HYPHEN)


class FieldAction(Enum):
    """What becomes of a field line."""

    KEEP = auto()
    DROP = auto()
    HOST = auto()
    COOKIE = auto()
    SET_COOKIE = auto()
    AUTHORIZATION = auto()
    API_KEY = auto()


class FieldActions(dict[bytes, FieldAction]):
    """What becomes of each field, by its name as sent; judged once for each spelling."""

    def __init__(self, judge: Callable[[bytes], FieldAction]) -> None:
        super().__init__()
        self._judge = judge
        self.beginnings = KeptLinePrefixes(self)

    def __missing__(self, name: bytes) -> FieldAction:
        fate = self._judge(name)
        if len(self) >= _MAX_NAMES:
            self.clear()  # a peer that sends ever new names must not fill the memory
            self.beginnings.clear()
        self[name] = fate
        return fate


class KeptLinePrefixes(dict[bytes, bytes]):
    """How the line of a field begins if it is simply kept; empty for every other fate."""

    def __init__(self, fates: FieldActions) -> None:
        super().__init__()
        self._fates = fates

    def __missing__(self, name: bytes) -> bytes:
        beginning = name + b": " if self._fates[name] is FieldAction.KEEP else b""
        self[name] = beginning
        return beginning

    def lines(self, raw: RawFields) -> list[bytes]:
        """The kept lines: a fifth of the cost of looking at each fate, and most messages' case."""
        return [start + value for name, value in raw if (start := self[name])]


def serialise(fields: Iterable[tuple[str, str]]) -> bytes:
    """Field lines of our own, each with its CRLF."""
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
