"""Field lines: names as the laxest app reads them, and which lines are kept."""

import weakref
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Generic, TypeVar

from gateway.core.request import RawFields

K = TypeVar("K", bytes, str)
V = TypeVar("V")

CRLF = b"\r\n"

_TO_HYPHEN = str.maketrans(dict.fromkeys("_.!#$%&'*+^`|~", "-"))

_MAX_NAMES = 1024
_MAX_NAME_BYTES = 128
"""Of names that are learnt: no usual one is longer, and a head may hold one that fills it."""


def normalise_name(name: str) -> str:
    """
    Return ``name`` as the laxest app reads it: lower case, with a hyphen for all punctuation.

    CGI and WSGI read ``X_User-Issuer`` as ``X-User-Issuer`` (CVE-2025-64484, CVE-2026-52845,
    CVE-2026-88011).
    """
    return name.lower().translate(_TO_HYPHEN)


class FieldAction(Enum):
    """What the gateway does with a field line."""

    KEEP = auto()
    DROP = auto()
    HOST = auto()
    COOKIE = auto()
    SET_COOKIE = auto()
    AUTHORIZATION = auto()
    CREDENTIAL = auto()
    """A field that holds a credential of its own, such as ``X-API-Key``."""


class LearntByName(dict[K, V], Generic[K, V]):
    """
    A table that computes what it lacks, by field names as peers send them.

    It is bounded, as peers can send ever new names. When it is full it evicts the oldest name, one
    at a time: a name still in use is learnt again, for some 2 µs in each thousand new names. It
    must not stop learning instead: a thousand made-up names would then keep out all others for as
    long as the config lasts.
    """

    def __init__(self, compute: Callable[[K], V]) -> None:
        super().__init__()
        self._compute: Callable[[K], V] = compute
        self._learnt: deque[K] = deque()
        """The names in the table, the oldest first."""

    def __missing__(self, name: K) -> V:
        value = self._compute(name)
        if len(name) <= _MAX_NAME_BYTES:
            if len(self) >= _MAX_NAMES:
                del self[self._learnt.popleft()]
            self._learnt.append(name)
            self[name] = value
        return value


class FieldActions(LearntByName[bytes, FieldAction]):
    """The action for each field of an answer, by its name as sent; decided once for each."""

    def __init__(self, decide: Callable[[bytes], FieldAction]) -> None:
        super().__init__(decide)
        self.prefixes = KeptLinePrefixes(weakref.proxy(self))


class KeptLinePrefixes(LearntByName[bytes, bytes]):
    """How the line of a field that is kept begins; empty for every other action."""

    def __init__(self, actions: FieldActions) -> None:
        super().__init__(
            lambda name: name + b": " if actions[name] is FieldAction.KEEP else b"",
        )

    def lines(self, raw: RawFields) -> list[bytes]:
        """Return the kept lines: the common case, for a fifth of the cost of each action."""
        return [prefix + value for name, value in raw if (prefix := self[name])]


def serialise(fields: Iterable[tuple[str, str]]) -> bytes:
    """Write field lines of the gateway's own, each with its CRLF."""
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
