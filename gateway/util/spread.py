"""Spread of the lifetimes of cache entries, which would otherwise all end at once."""

_STEP = (5**0.5 - 1) / 2
"""The golden ratio: steps of it around a circle divide that evenly, however many they are."""

_WIDTH = 0.25
"""Part of a lifetime over which its ends are spread."""


class Spread:
    """
    Shares of a lifetime, from the whole down to three quarters of it, by a fixed sequence.

    Entries that were cached in one burst would go stale in one burst, and be looked up again in the
    next: all requests of that moment would wait for each other.
    """

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = 0.0

    def share(self) -> float:
        """Return the next share: never more than the whole."""
        turn = self._turn
        self._turn = (turn + _STEP) % 1.0
        return 1.0 - _WIDTH * turn
