"""A cache by object identity."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.util.by_identity import ByIdentity


class Thing:
    """An object that equals every other of its class, and can be weakly referenced."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    def __hash__(self) -> int:
        return 1


def test_equal_objects_have_values_of_their_own() -> None:
    """Identity counts, not equality."""
    one, other = Thing(), Thing()
    cache: ByIdentity[str] = ByIdentity(8)
    assert cache.keep("one", one) == "one"
    assert [cache.get(id(one)), cache.get(id(other))] == ["one", None]


def test_pairs() -> None:
    """A value may belong to two objects, in their order."""
    one, other = Thing(), Thing()
    cache: ByIdentity[str] = ByIdentity(8)
    cache.keep("pair", one, other)
    assert cache.get((id(one), id(other))) == "pair"
    assert cache.get((id(other), id(one))) is None
    assert cache.get(id(one)) is None


def test_the_oldest_makes_room_one_at_a_time() -> None:
    """A full cache loses one value for each new one."""
    things = [Thing() for _ in range(5)]
    cache: ByIdentity[int] = ByIdentity(3)
    for number, thing in enumerate(things):
        cache.keep(number, thing)
    assert [cache.get(id(thing)) for thing in things] == [None, None, 2, 3, 4]


def test_a_new_value_for_the_same_object_evicts_nothing() -> None:
    """It takes the place of the old one."""
    things = [Thing() for _ in range(3)]
    cache: ByIdentity[int] = ByIdentity(3)
    for thing in things:
        cache.keep(0, thing)
    for number in range(1, 10):
        cache.keep(number, things[0])
    assert [cache.get(id(thing)) for thing in things] == [9, 0, 0]


@pytest.mark.parametrize("is_pair", [False, True])
def test_objects_live_as_long_as_their_value(is_pair: bool) -> None:
    """So that no other object can have their id; after that, they are freed."""
    cache: ByIdentity[int] = ByIdentity(1)
    things = [Thing(), Thing()] if is_pair else [Thing()]
    references = [weakref.ref(thing) for thing in things]
    cache.keep(1, *things)
    things.clear()
    gc.collect()
    assert all(reference() is not None for reference in references)

    cache.keep(2, Thing())
    gc.collect()
    assert all(reference() is None for reference in references)


@given(st.integers(1, 5), st.lists(st.integers(0, 9), max_size=200))
def test_no_object_gets_the_value_of_another(capacity: int, numbers: list[int]) -> None:
    """Objects come and go, and ids are used again: each object has its own value or none."""
    cache: ByIdentity[int] = ByIdentity(capacity)
    living: dict[int, list[Thing]] = {}
    for serial, number in enumerate(numbers):
        thing = [Thing()]
        living[number] = thing  # frees the one before, unless the cache holds it
        assert cache.get(id(thing[0])) is None
        cache.keep(serial, thing[0])
        assert cache.get(id(thing[0])) == serial
        assert len(cache) <= capacity
