"""What follows from the names of a request's field lines alone: which of them go to the app."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Literal

from gateway.headers.fields import CRLF, FieldAction
from gateway.util.kernel import KERNEL

Part = bool | Literal["cookie", "authorization", "connection"]
"""Whether a line is kept, by its name; one that depends on its value by its lower-case name."""

_MAX_KERNEL_LINES = 128
_KernelLines: Any = KERNEL.Lines if KERNEL is not None else None
_joined: Any = KERNEL.Lines.joined if KERNEL is not None else None


class HeadShape:
    """What follows from the names of a head alone: clients send the same, in the same order."""

    __slots__ = (
        "_indexes",
        "_take",
        "authorization",
        "connection",
        "cookie",
        "cookie_goes",
        "is_unusual",
    )

    def __init__(self, parts: Iterable[Part]) -> None:
        """``parts``: what is done with each line, by its name."""
        self.cookie = self.authorization = self.connection = -1
        """Index of the line; -1 without one."""
        self.cookie_goes = 0
        """Where it goes among the lines that are kept, if anything is left of it."""
        self.is_unusual = False
        """Whether such a field is repeated."""
        kept: list[int] = []
        for index, part in enumerate(parts):
            if part is True:
                kept.append(index)
            elif part is not False:
                self.is_unusual = self.is_unusual or getattr(self, part) >= 0
                setattr(self, part, index)
                if part == "cookie":
                    self.cookie_goes = len(kept)
        self._take = _taking(kept)
        self._indexes = bytes(index for index in kept if index < _MAX_KERNEL_LINES)
        """Complete for the heads that the kernel reads, which have no more lines."""

    def join(self, lines: Sequence[bytes], cookie: bytes) -> bytes:
        """Return the lines that are kept, each with its CRLF; ``cookie`` in the place of Cookie."""
        if type(lines) is _KernelLines:
            joined: bytes = _joined(lines, self._indexes, self.cookie_goes, cookie)
            return joined
        kept = self._take(lines)
        if cookie:
            at = self.cookie_goes
            return CRLF.join([*kept[:at], cookie, *kept[at:], b""])
        return CRLF.join([*kept, b""])


def part_of(name: str, action: FieldAction) -> Part:
    """Return what is done with the lines of ``name``."""
    if action is FieldAction.COOKIE:
        return "cookie"
    if action is FieldAction.AUTHORIZATION:
        return "authorization"
    return "connection" if name.lower() == "connection" else action is FieldAction.KEEP


def _taking(indexes: Sequence[int]) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    """Return the function that takes these lines of all lines of a head."""
    if len(indexes) > 1:
        return itemgetter(*indexes)  # half the time of `compress`
    return lambda lines: [lines[index] for index in indexes]
