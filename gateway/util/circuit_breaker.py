"""Whether it is worth calling somebody who has just failed."""

from dataclasses import dataclass

MAX_PAUSE_S = 300.0
"""No answer, not even ``Retry-After: 3600``, keeps sign-in closed for longer than this."""


@dataclass(slots=True)
class Circuit:
    """
    Opens for ``pause_s`` after ``tolerated`` failures in a row, or for as long as it was told to.

    After the pause calls are let through again; the first failure among them opens it anew. Times
    are seconds of any clock that does not go back.
    """

    tolerated: int = 5
    pause_s: float = 1.0
    _failures: int = 0
    _open_until_s: float = 0.0

    def open_for_s(self, now_s: float) -> float:
        """Seconds until the next call may be made; 0 if it may be made now."""
        return max(0.0, self._open_until_s - now_s)

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now_s: float, retry_after_s: float | None = None) -> None:
        self._failures += 1
        pause_s = self.pause_s if self._failures >= self.tolerated else 0.0
        if retry_after_s is not None:
            pause_s = min(retry_after_s, MAX_PAUSE_S)
        self._open_until_s = max(self._open_until_s, now_s + pause_s)
