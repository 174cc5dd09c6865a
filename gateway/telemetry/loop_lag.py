"""How late the event loop is: a callback that takes long holds up all others."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

PERIOD_S: Final = 0.25


async def watch_lag(
    observe: Callable[[float], object],
    clock: Callable[[], float] = perf_counter,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Tell ``observe`` how late each of four timers a second is, in seconds, until cancelled."""
    while True:
        began_s = clock()
        await sleep(PERIOD_S)
        observe(max(0.0, clock() - began_s - PERIOD_S))
