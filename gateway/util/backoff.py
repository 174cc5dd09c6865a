"""Exponential backoff: the wait before a process that ended is started again."""

FIRST_S = 0.1
LONGEST_S = 10.0
SETTLED_S = 60.0
"""The length of life after which the wait starts anew: the start was not at fault."""


class Backoff:
    """Doubles the wait each time, up to ``longest_s``. The defaults are those of workers."""

    def __init__(
        self,
        first_s: float = FIRST_S,
        longest_s: float = LONGEST_S,
        settled_s: float = SETTLED_S,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._settled_s = settled_s
        self._next_s = first_s

    def after(self, lived_s: float) -> float:
        """Return the wait in seconds after a life of ``lived_s``."""
        wait_s = self._first_s if lived_s >= self._settled_s else self._next_s
        self._next_s = min(wait_s * 2, self._longest_s)
        return wait_s


def jittered_s(trial: int, draw: float, first_s: float = 0.02, longest_s: float = 2.0) -> float:
    """
    Return the wait after a number of trials: any part of what doubles each time ("full jitter").

    ``draw`` is a random number from 0 to 1. So clients that failed at one time do not come back at
    one time.
    """
    return float(draw * min(first_s * 2**trial, longest_s))
