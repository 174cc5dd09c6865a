"""Build the access log, and flush it ten times a second."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.counters import Counters
from gateway.util.background import background

_FLUSH_S = 0.1


@asynccontextmanager
async def access_log(fd: int, counters: Counters) -> AsyncIterator[AccessLog]:
    """Write the access log to ``fd`` until the context ends; the last lines are written then."""
    log = AccessLog(fd, time.time, counters)
    try:
        async with background(_flush_periodically(log)):
            yield log
    finally:
        log.flush()


async def _flush_periodically(log: AccessLog) -> None:
    while True:
        await asyncio.sleep(_FLUSH_S)
        log.flush()
