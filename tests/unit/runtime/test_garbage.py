"""Garbage collection in a process that serves."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from gateway.runtime import garbage
from gateway.util.background import background


class Cycle:
    """Refers to itself; `count` says how many there are."""

    count = 0

    def __init__(self) -> None:
        self.itself = self
        Cycle.count += 1

    def __del__(self) -> None:
        Cycle.count -= 1


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """Put the collector back as it was."""
    before = gc.get_threshold()
    gc.collect()
    Cycle.count = 0
    yield
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_start_up_made_is_not_collected() -> None:
    """It is frozen, and garbage that was there before it is not kept."""
    Cycle()
    garbage.freeze()
    assert Cycle.count == 0
    assert gc.get_freeze_count() > 10_000
    assert 10_000 == gc.get_threshold()[0]


def test_python_itself_collects_so_much_garbage() -> None:
    """After two hundred thousand objects that are not freed, all garbage is found."""
    garbage.freeze()
    kept = [Cycle() for _ in range(10)]
    gc.collect(1)  # they are old now
    kept.clear()
    assert Cycle.count == 10
    more: list[list[None]] = [[] for _ in range(200_000)]
    assert (200_000, 0) == (len(more), Cycle.count)


def test_a_config_is_made_without_collections() -> None:
    """Once it is made, a full collection does not look at it."""
    garbage.freeze()
    with garbage.frozen_after():
        assert not gc.isenabled()
        made: list[list[None]] = [[] for _ in range(1000)]
    assert gc.isenabled()
    looked_at = set(map(id, gc.get_objects()))
    assert set() == looked_at & set(map(id, made))


def test_a_config_that_fails_is_collected() -> None:
    """Nothing of it is frozen."""
    before = gc.get_freeze_count()
    with pytest.raises(ValueError, match="faulty"), garbage.frozen_after():
        raise ValueError("faulty")
    assert gc.isenabled()
    assert before == gc.get_freeze_count()


@pytest.mark.parametrize("is_idle", [True, False])
async def test_an_idle_process_collects(is_idle: bool) -> None:
    """A process that serves requests does not."""
    looked = asyncio.Event()

    def look() -> bool:
        if looks and looks.pop():
            looked.set()
        return is_idle

    looks = [True, False]
    garbage.freeze()
    gc.set_threshold(1_000_000)  # by itself Python collects none of this
    kept: list[list[None]] = [[] for _ in range(10_000)]
    Cycle()
    async with background(garbage.collect_when_idle(look, 0.001)), asyncio.timeout(20):
        await looked.wait()
    assert (10_000, 0 if is_idle else 1) == (len(kept), Cycle.count)


async def test_nothing_is_collected_while_a_config_is_made() -> None:
    """The collection would look at what is half made."""
    asked: list[bool] = []

    def look() -> bool:
        asked.append(True)
        return True

    garbage.freeze()
    kept = Cycle()
    with garbage.frozen_after():
        gc.collect(1)
        del kept
        async with background(garbage.collect_when_idle(look, 0.0)):
            for _ in range(20):
                await asyncio.sleep(0)
    assert ([], 1) == (asked, Cycle.count)
