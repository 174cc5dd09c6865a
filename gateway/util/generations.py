"""A bounded table of two generations, for keys that peers choose."""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Generations(dict[K, V]):
    """
    At most twice ``max_entries`` entries: the young generation, which is this dict, and the old.

    When the young generation is full it becomes the old one, whose entries are dropped. An entry
    that is looked up in time is young again, so keys that come once displace no key that is in
    use, and a hit costs no more than in any dict.
    """

    __slots__ = ("_max_entries", "_old")

    def __init__(self, max_entries: int) -> None:
        super().__init__()
        self._max_entries = max_entries
        self._old: dict[K, V] = {}

    def renew(self, key: K) -> V | None:
        """Move an entry of the old generation to the young one; None if there is none."""
        value = self._old.get(key)
        if value is not None:
            self.keep(key, value)
        return value

    def keep(self, key: K, value: V) -> None:
        """Add an entry to the young generation."""
        if len(self) >= self._max_entries:
            self.begin()
        self[key] = value

    def begin(self) -> None:
        """Begin a young generation; what was not looked up in the last one is dropped."""
        self._old = self.copy()
        self.clear()
