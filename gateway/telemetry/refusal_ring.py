"""The last refusals of this process, as the access log tells them: for operators who look."""

from collections import deque
from typing import Any, Final

from gateway.telemetry.access_line import ACCESS_FIELDS, Values, named
from gateway.telemetry.escape import visible
from gateway.telemetry.metrics import CLIENT_GONE

MAX_REFUSALS: Final = 100
"""Kept at most: some 300 KB of the longest lines."""
_REFUSAL = ACCESS_FIELDS.index("refusal")


class RefusalRing:
    """
    Keeps the last refusals, also those that the log takes no line of.

    It holds what a line holds, so no secret, and nothing that is long.
    """

    __slots__ = ("_kept",)

    def __init__(self, most: int = MAX_REFUSALS) -> None:
        self._kept: deque[Values] = deque(maxlen=most)

    def note(self, values: Values) -> None:
        """Keep a refusal; a client that has left was not refused."""
        if values[_REFUSAL] != CLIENT_GONE:
            self._kept.append(values)

    def since(self, time: str) -> list[dict[str, Any]]:
        """Return those of ``time`` (as in lines) and later, the oldest first."""
        return [
            {key: visible(told) if isinstance(told, str) else told for key, told in members.items()}
            for members in map(named, self._kept)
            if members["time"] >= time
        ]
