"""What becomes of work whose time is up, or whose task is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from math import inf

import pytest

from gateway.util.deadlines import Deadlines
from gateway.util.time_box import TimeBox


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    """Checked by hand."""
    deadlines = Deadlines(asyncio.get_running_loop(), 1000.0)
    yield deadlines
    deadlines.close()


class Boxed:
    """A task that works for ever in a box, and then goes on."""

    def __init__(self, deadlines: Deadlines, until_s: float) -> None:
        self.steps: list[str] = []
        self._deadlines = deadlines
        self.task = asyncio.create_task(self._run(until_s))

    async def _run(self, until_s: float) -> None:
        self.box = TimeBox(until_s)
        await self.box.run(self._work(), self._deadlines)
        self.steps.append("went on")
        await asyncio.sleep(0)

    async def _work(self) -> None:
        self.steps.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            self.steps.append("ended")


async def test_work_ends_when_its_time_is_up(deadlines: Deadlines) -> None:
    """Not before; the task goes on, and is not cancelled."""
    boxed = Boxed(deadlines, until_s=5.0)
    await asyncio.sleep(0)
    boxed.box.check_deadline(4.9)
    await asyncio.sleep(0)
    assert ["began"] == boxed.steps
    boxed.box.check_deadline(5.0)
    boxed.box.check_deadline(5.1)
    await boxed.task
    assert ["began", "ended", "went on"] == boxed.steps


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_task_that_is_cancelled_ends(deadlines: Deadlines, is_late: bool) -> None:
    """In the same moment as its time is up, too."""
    boxed = Boxed(deadlines, until_s=5.0)
    await asyncio.sleep(0)
    if is_late:
        boxed.box.check_deadline(5.0)
    boxed.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await boxed.task
    assert ["began", "ended"] == boxed.steps


async def test_work_that_ends_in_time_is_checked_no_more(deadlines: Deadlines) -> None:
    """Its error is its own."""

    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await TimeBox(inf).run(work(), deadlines)
    assert not deadlines._waiting
