"""
Garbage collection in a process that serves: no collection stops the loop for long.

Connections, exchanges and configs hold no reference cycles, and are freed without a collection. So
what lives long is frozen, and a collection looks at the rest alone: what came since.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_THRESHOLDS = (10_000, 5, 2)
"""
Container objects that are made, and not freed, before the youngest are looked at (Python's own
default is 700); and how often that happens before the middle ones are, and all: after 180 000.
"""
_LOOK_S = 10.0
_WORTHWHILE = 1000
"""Objects that were made since the last collection, and not freed."""


def freeze() -> None:
    """
    Exclude all that there is from garbage collection.

    Half a million objects of modules never become garbage, and looking at them anew stops the loop
    for 50 ms each time (measured as p99 under load; 6 ms without). The second collection, of
    nothing, tells Python how little there is to look at: it omits full collections while what is
    new is less than a quarter of what it saw in the last one.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
    gc.set_threshold(*_THRESHOLDS)


@contextmanager
def frozen_after() -> Iterator[None]:
    """
    Make a config without collections, and freeze it with all else if that succeeds.

    One of 10 000 routes with rules is 200 000 objects: a collection that looks at them stops the
    loop for 0.1 s and more. What is frozen is freed like all else, as long as it is no cycle: what
    cycles there are is collected first.
    """
    gc.collect()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


async def collect_when_idle(is_idle: Callable[[], bool], look_s: float = _LOOK_S) -> None:
    """Collect what there may be while no request is under way, until cancelled."""
    while True:
        await asyncio.sleep(look_s)
        if gc.isenabled() and is_idle() and _is_worthwhile(gc.get_count()):
            gc.collect()  # not while a config is made, which would be looked at


def _is_worthwhile(counts: tuple[int, int, int]) -> bool:
    """Return whether enough was made since the last full collection; see `gc.get_count`."""
    youngest, middle, old = counts
    return youngest >= _WORTHWHILE or middle + old > 0
