"""Start of tasks without a turn of the event loop."""

import asyncio
import sys

from gateway.util.eager_task import start


async def test_a_task_runs_to_its_first_wait_at_once_where_python_can() -> None:
    """From Python 3.12 on; before that it begins at the next turn of the loop."""
    gate, events = asyncio.Event(), list[str]()

    async def work() -> None:
        events.append("began")
        await gate.wait()
        events.append("ended")

    task = start(asyncio.get_running_loop(), work())
    assert events == (["began"] if sys.version_info >= (3, 12) else [])
    await asyncio.sleep(0)
    assert ["began"] == events
    gate.set()
    await task
    assert ["began", "ended"] == events


async def test_tasks_can_be_cancelled() -> None:
    """They are tasks like any other, also before their first wait is over."""

    async def work() -> None:
        await asyncio.sleep(60)

    task = start(asyncio.get_running_loop(), work())
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
