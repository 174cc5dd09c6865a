"""How tasks begin."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def start(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """
    Begin ``work``: at once where Python can (3.12), which saves a turn of the loop.

    A name is given because making one up costs 0.5 µs a task.
    """
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, name="requests", eager_start=True)
    return asyncio.Task(work, loop=loop, name="requests")
