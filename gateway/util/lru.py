"""A mapping of bounded size that evicts the least recently used entry."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """At most ``capacity`` entries; a new one evicts the one that was unused for longest."""

    __slots__ = ("_capacity", "_entries", "peek", "touch")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.peek: Callable[[K], V | None] = self._entries.get
        """Read an entry without counting it as used; None where there is none."""
        self.touch: Callable[[K], None] = self._entries.move_to_end
        """Count an entry as used. Raises `KeyError` where there is none."""

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> tuple[tuple[K, V], ...]:
        """Return all entries, the least recently used first."""
        return tuple(self._entries.items())

    def values(self) -> Iterable[V]:
        """Return a view of all values, the least recently used first."""
        return self._entries.values()

    def get(self, key: K) -> V | None:
        """Read an entry and count it as used; None where there is none."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> tuple[K, V] | None:
        """Write an entry and count it as used; return the entry that was evicted, if any."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            return self._entries.popitem(last=False)
        return None

    def forget(self, key: K) -> V | None:
        """Remove an entry and return its value; None where there is none."""
        return self._entries.pop(key, None)

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()
