"""Bounds on lines that clients can cause without end: those of refusals."""

from typing import Final

from gateway.util.lru import LruCache

SAMPLE_S: Final = 60.0
"""Of equal refusals, one is written in so long; it says how many there were."""
MAX_A_SECOND: Final = 20
"""Most lines of refusals in one second, of all kinds together."""
_MAX_KINDS: Final = 4096

EntryKind = tuple[str, ...]


class RefusalSampler:
    """Chooses which refusals get a line."""

    def __init__(self) -> None:
        self._kinds: LruCache[EntryKind, tuple[float, int]] = LruCache(_MAX_KINDS)
        """When a refusal of this kind got its latest line, and how many came since."""
        self._second = 0
        self._in_second = 0

    def count(self, kind: EntryKind, now_s: float) -> int:
        """Count a refusal; return how many a line of it stands for, or 0 for no line now."""
        told_s, since = self._kinds.get(kind) or (float("-inf"), 0)
        is_due = not 0 <= now_s - told_s < SAMPLE_S
        if is_due and self._has_room(int(now_s)):
            self._kinds.put(kind, (now_s, 0))
            return since + 1
        self._kinds.put(kind, (told_s, since + 1))
        return 0

    def _has_room(self, second: int) -> bool:
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second <= MAX_A_SECOND
