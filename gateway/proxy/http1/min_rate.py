"""How slow a peer may be."""


class MinimumRate:
    """
    How long to wait for a peer that sends, or takes, a body.

    Never longer than ``idle_s`` for the next byte; and on the whole no longer than ``idle_s`` and
    what ``min_bytes_per_s`` allows for the bytes that have moved: a byte now and then does not hold
    a connection for ever (slow POST, slow read). Only the time that we wait counts, so that an app
    that is slow itself costs its client nothing.
    """

    __slots__ = ("_idle_s", "_left_s", "_min_bytes_per_s")

    def __init__(self, idle_s: float, min_bytes_per_s: int) -> None:
        self._idle_s = idle_s
        self._min_bytes_per_s = min_bytes_per_s
        self._left_s = idle_s

    def patience_s(self) -> float:
        """How long to wait for the next byte; not above zero where it was too slow already."""
        return min(self._idle_s, self._left_s)

    def moved(self, size_bytes: int, waited_s: float) -> None:
        """Note that so much came, or was taken, after so long a wait."""
        self._left_s += size_bytes / self._min_bytes_per_s - waited_s
