"""How tasks begin."""

import asyncio
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any

_begin = partial(asyncio.Task, name="requests")  # making a name up costs 0.5 µs a task
if sys.version_info >= (3, 12):
    _begin = partial(_begin, eager_start=True)


def start(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin ``work``: at once where Python can (3.12), which saves a turn of the loop."""
    return _begin(work, loop=loop)
