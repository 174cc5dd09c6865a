"""Background tasks bound to a context."""

import asyncio

import pytest

from gateway.util.background import background


async def test_the_task_runs_until_the_end_of_the_context() -> None:
    """It runs beside the context, and the end of the context cancels it and waits for it."""
    events: list[str] = []

    async def work() -> None:
        events.append("began")
        try:
            await asyncio.sleep(60)
        finally:
            events.append("ended")

    async with background(work()):
        await asyncio.sleep(0)
        events.append("inside")
    assert ["began", "inside", "ended"] == events


async def test_the_context_may_outlive_the_task() -> None:
    """A task that has ended is no error."""

    async def work() -> None:
        pass

    async with background(work()):
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_failure_of_the_task_is_raised_at_the_end() -> None:
    """It is not lost."""

    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with background(work()):
            await asyncio.sleep(0)


async def test_a_failure_of_the_context_cancels_the_task_too() -> None:
    """The task does not outlive its context in any case."""
    was_cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            was_cancelled.set()
            raise

    async def fail() -> None:
        async with background(work()):
            await asyncio.sleep(0)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert was_cancelled.is_set()
