"""What became of the header fields of a request: dropped, kept, or written by the gateway."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from gateway.core.request import ReceivedLines

_HIDDEN = frozenset({"authorization", "cookie"})
"""Fields whose values may hold credentials."""
_INTERNAL = "x-gateway-"
"""Begins the fields for the gateway's own pages, which hold more than any app reads."""


class FieldReport(NamedTuple):
    """The fields of a request, by what became of them."""

    dropped: list[str]
    """Names of those that the app does not get, as the client wrote them."""
    changed: list[str]
    """Names of those of which the app gets a part."""
    kept: list[str]
    written: list[list[str]]
    """Names and values that the gateway writes; the values of credentials are left out."""


def field_report(received: ReceivedLines, sent: bytes, hidden: Collection[str] = ()) -> FieldReport:
    """
    Compare what was received with what is ``sent``.

    ``hidden`` are the names, in lower case, of further fields whose values must not be shown.
    """
    left = Counter(sent.decode("latin-1").split("\r\n")[:-1])
    kept, others = [], []
    for name, line in zip(received.names, received.lines, strict=True):
        text = line.decode("latin-1")
        if left[text] > 0:
            left[text] -= 1
            kept.append(name)
        else:
            others.append(name)
    new = [line.partition(": ")[::2] for line in left.elements()]
    changed = _changed(others, {name.lower() for name, _ in new})
    return FieldReport(
        [name for name in others if name not in changed],
        changed,
        kept,
        [
            [name, "…" if _is_hidden(name.lower(), hidden) else value]
            for name, value in new
            if name not in changed
        ],
    )


def _is_hidden(name: str, hidden: Collection[str]) -> bool:
    return name in _HIDDEN or name in hidden or name.startswith(_INTERNAL)


def _changed(names: Sequence[str], sent: Collection[str]) -> list[str]:
    """Return the credentials' fields of which something is left, such as other cookies."""
    return [name for name in names if name.lower() == "cookie" and "cookie" in sent]
