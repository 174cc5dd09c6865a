"""Methods that do not keep their object."""

import gc
import weakref
from functools import lru_cache

import pytest

from gateway.util.weakly import weakly


class Doubler:
    """Keeps a cache of its own method."""

    def __init__(self) -> None:
        self.doubled = lru_cache(maxsize=8)(weakly(self._double))

    def _double(self, number: int) -> int:
        return 2 * number


def test_the_method_is_called() -> None:
    """What it returns is returned."""
    doubler = Doubler()
    assert [4, 4, 6] == [doubler.doubled(number) for number in (2, 2, 3)]


def test_the_object_is_free_at_once() -> None:
    """An object that keeps its method needs no collection; after that a call is an error."""
    doubler = Doubler()
    doubled, gone = doubler.doubled, weakref.ref(doubler)
    gc.disable()
    try:
        del doubler
        assert gone() is None
    finally:
        gc.enable()
    with pytest.raises(ReferenceError):
        doubled(2)
