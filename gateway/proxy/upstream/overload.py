"""
When an upstream is not asked: retries within a budget, and none at all while everything fails.

Times are seconds of a clock that does not go back.
"""

from math import inf


class RetryBudget:
    """
    At most ``share`` of the requests of the last ``window_s`` may be sent once more, and ``floor``.

    Without it, retries double the load of an app that fails because of its load. The windows slide
    (the last one counts by what is left of it), and are moved on only when somebody asks.
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
        """Whether one more retry may be made; ``requests`` counts all there ever were."""
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


class CircuitBreaker:
    """
    After ``failures`` in a row nobody is let through for ``pause_s``; then one may try, per pause.

    The first answer closes it.
    """

    def __init__(self, failures: int, pause_s: float) -> None:
        self._tolerated = failures
        self._pause_s = pause_s
        self._failures = 0
        self._until_s = -inf

    def closed_for_s(self, now_s: float) -> float:
        """0 where a request may pass, which is then the one that tries; else seconds to wait."""
        if self._failures < self._tolerated:
            return 0.0
        if now_s < self._until_s:
            return self._until_s - now_s
        self._until_s = now_s + self._pause_s
        return 0.0

    def failed(self, now_s: float) -> None:
        self._failures += 1
        if self._failures == self._tolerated:
            self._until_s = now_s + self._pause_s

    def answered(self) -> None:
        self._failures = 0
