"""The lowest rate at which a peer may send or take a body."""


class MinimumRate:
    """
    Time-outs for a peer that sends, or takes, a body: against slow POST and slow read attacks.

    Allows ``idle_s`` for the next byte. Over the whole body it allows ``idle_s`` plus one second
    for each ``min_bytes_per_s`` that were transferred, so that a byte now and then does not hold a
    connection for ever. Only the time spent waiting for the peer counts: a slow app costs its
    client nothing.
    """

    __slots__ = ("_idle_s", "_left_s", "_min_bytes_per_s")

    def __init__(self, idle_s: float, min_bytes_per_s: int) -> None:
        self._idle_s = idle_s
        self._min_bytes_per_s = min_bytes_per_s
        self._left_s = idle_s

    def timeout_s(self) -> float:
        """Return how long to wait for the next byte; 0 or less if the peer was too slow already."""
        return min(self._idle_s, self._left_s)

    def record(self, size_bytes: int, waited_s: float) -> None:
        """Count ``size_bytes`` that were transferred after a wait of ``waited_s``."""
        self._left_s += size_bytes / self._min_bytes_per_s - waited_s
