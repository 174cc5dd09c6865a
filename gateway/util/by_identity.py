"""A cache by object identity: what follows from an object, without hashing its contents."""

from collections import deque
from typing import TypeVar

V = TypeVar("V")


class ByIdentity(dict[int | tuple[int, int], V]):
    """
    A cache of at most ``capacity`` values, by the `id` of one object or the ids of two.

    Read it as a `dict`, by ``id(thing)`` or ``(id(one), id(other))``: a method of ours would double
    the cost of a hit. Write it with `keep` alone. It holds the objects for as long as their value,
    so no other object can have their ids, and a hit needs no further check. When it is full, `keep`
    evicts the oldest value.
    """

    __slots__ = ("_capacity", "_held")

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._held: deque[tuple[int | tuple[int, int], object, object]] = deque()
        """Each key with its objects, the oldest first."""

    def keep(self, value: V, thing: object, *other: object) -> V:
        """Keep and return ``value``, which belongs to ``thing``, or to it and one ``other``."""
        key = (id(thing), id(other[0])) if other else id(thing)
        if key not in self:
            if len(self) >= self._capacity:
                del self[self._held.popleft()[0]]
            self._held.append((key, thing, other))
        self[key] = value
        return value
