"""When to stop asking a store that does not answer."""

PAUSE_S = 0.2
"""What a client hardly notices, and long enough for thousands of requests to be spared the wait."""


class Breaker:
    """
    After a failure nobody asks for ``pause_s`` seconds; then one may try, and one each pause after.

    The first success closes it. Only differences of the times passed in count, and a clock that
    was set back does not hold it open for longer than one pause.
    """

    __slots__ = ("_pause_s", "_retry_at_s", "is_open")

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s
        self._retry_at_s = 0.0
        self.is_open = False

    def admits(self, now_s: float) -> bool:
        """Whether one may ask now; if it is open, who hears yes is the one who tries."""
        if not self.is_open:
            return True
        if 0 < self._retry_at_s - now_s <= self._pause_s:
            return False
        self._retry_at_s = now_s + self._pause_s
        return True

    def failed(self, now_s: float) -> None:
        self.is_open = True
        self._retry_at_s = now_s + self._pause_s

    def succeeded(self) -> None:
        self.is_open = False
