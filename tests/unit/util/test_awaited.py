"""Coroutines around another one."""

from collections.abc import Generator
from typing import Any

import pytest

from gateway.util.awaited import Around


class Doubled(Around[int]):
    """Twice what the other one returns."""

    def __await__(self) -> Generator[Any, Any, int]:
        return 2 * (yield from self._rest.__await__())


async def _one() -> int:
    return 1


async def test_it_is_awaited_as_the_other_one() -> None:
    """With what it does around it."""
    assert 2 == await Doubled(_one())


async def test_one_that_is_never_awaited_is_closed() -> None:
    """Without a warning about the other one, which pytest would turn into an error."""
    Doubled(_one()).close()


async def test_it_is_not_driven_by_hand() -> None:
    """A task drives the coroutine that awaits it."""
    around = Doubled(_one())
    for drive in (around.send, around.throw):
        with pytest.raises(NotImplementedError, match="awaited"):
            drive(None)
    around.close()
