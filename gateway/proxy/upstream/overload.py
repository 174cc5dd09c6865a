"""Limits on what an overloaded upstream is sent: retries stay within a budget."""

from math import inf


class RetryBudget:
    """
    Allows retries of ``share`` of the requests of the last ``window_s``, and ``floor`` beside them.

    Without it, retries double the load of an app that fails because of its load. The window slides:
    the last one counts by what is left of it. It moves on when `spend` is called. Times are seconds
    of a clock that does not go back.
    """

    def __init__(self, share: float = 0.2, floor: int = 10, window_s: float = 10.0) -> None:
        self._share = share
        self._floor = floor
        self._window_s = window_s
        self._began_s = -inf
        self._requests_before = 0
        self._last_requests = 0.0
        self._last_retries = 0.0
        self._retries = 0

    def spend(self, requests: int, now_s: float) -> bool:
        """Spend one retry if the budget allows it; ``requests`` counts all since the start."""
        elapsed_s = now_s - self._began_s
        if elapsed_s >= self._window_s:
            part = self._window_s / elapsed_s  # of what was counted: the rest is further back
            self._last_requests = (requests - self._requests_before) * part
            self._last_retries = self._retries * part
            self._requests_before, self._retries = requests, 0
            self._began_s, elapsed_s = now_s, 0.0
        left = 1 - elapsed_s / self._window_s
        recent = requests - self._requests_before + self._last_requests * left
        if self._retries + self._last_retries * left >= self._share * recent + self._floor:
            return False
        self._retries += 1
        return True
