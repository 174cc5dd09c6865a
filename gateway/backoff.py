"""How long a worker that ended waits before it is started again."""

FIRST_S = 0.1
LONGEST_S = 10.0
SETTLED_S = 60.0
"""A worker that has lived so long starts anew: what ended it was no fault of the start."""


class Backoff:
    """Twice as long each time, up to `LONGEST_S`."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, lived_s: float) -> float:
        """The wait in seconds after a life of ``lived_s``."""
        wait_s = FIRST_S if lived_s >= SETTLED_S else self._next_s
        self._next_s = min(wait_s * 2, LONGEST_S)
        return wait_s
