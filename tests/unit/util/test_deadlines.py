"""What waits is looked at."""

import asyncio

from gateway.util.deadlines import Deadlines


class Waiting:
    """Notes when it was looked at."""

    def __init__(self) -> None:
        self.looked_at = asyncio.Event()

    def check_deadline(self, now_s: float) -> None:
        assert now_s <= asyncio.get_running_loop().time()
        self.looked_at.set()


async def test_what_waits_is_looked_at_again_and_again() -> None:
    """Until it is forgotten."""
    deadlines, waiting = Deadlines(asyncio.get_running_loop(), 0.001), Waiting()
    deadlines.watch(waiting)
    for _ in range(2):
        await asyncio.wait_for(waiting.looked_at.wait(), 5)
        waiting.looked_at.clear()
    deadlines.forget(waiting)
    other = Waiting()
    deadlines.watch(other)
    await asyncio.wait_for(other.looked_at.wait(), 5)
    deadlines.close()

    assert not waiting.looked_at.is_set()
