"""One timer for many deadlines."""

import asyncio

from gateway.util.deadlines import Deadlines


class Waiting:
    """Records that its deadline was checked."""

    def __init__(self) -> None:
        self.checked = asyncio.Event()

    def check_deadline(self, now_s: float) -> None:
        assert now_s <= asyncio.get_running_loop().time()
        self.checked.set()


async def test_deadlines_are_checked_until_forgotten() -> None:
    """Each watched object is checked again after every period."""
    deadlines, waiting = Deadlines(asyncio.get_running_loop(), 0.001), Waiting()
    deadlines.watch(waiting)
    for _ in range(2):
        await asyncio.wait_for(waiting.checked.wait(), 5)
        waiting.checked.clear()
    deadlines.forget(waiting)
    other = Waiting()
    deadlines.watch(other)
    await asyncio.wait_for(other.checked.wait(), 5)
    deadlines.close()

    assert not waiting.checked.is_set()
