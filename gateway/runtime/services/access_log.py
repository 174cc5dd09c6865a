"""Build the access log, and flush it ten times a second."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config.log import AccessLogSettings
from gateway.telemetry.access_line import Encode, json_lines, text_lines
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.counters import Counters
from gateway.telemetry.log_sample import SampledRequests, Sampler
from gateway.util.background import background

_FLUSH_S = 0.1


def configure(log: AccessLog, settings: AccessLogSettings) -> None:
    """Write further lines as ``settings`` say."""
    samples = [
        SampledRequests(each.keep, each.route or "", frozenset(each.status or ()))
        for each in settings.sample
    ]
    log.configure(_encode(settings), Sampler(samples) if samples else None)


def _encode(settings: AccessLogSettings) -> Encode:
    lines = text_lines if settings.format == "text" else json_lines
    return lines(settings.fields)


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
