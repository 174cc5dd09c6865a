"""Runs a gateway until it is told to stop."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from gateway.app import Gateway, running
from gateway.config.schema import Settings

_log = logging.getLogger("gateway")


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` on uvloop: half the cost of asyncio's own loop for what a proxy does."""
    uvloop.run(work)


async def serve(settings: Settings, ready: Callable[[Gateway], None]) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain.

    ``ready`` is called once, when connections are accepted. Raises what `running` raises.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings, sys.stdout.fileno()) as gateway:
        ready(gateway)
        await stop.wait()
        _log.info("draining")


def announce(gateway: Gateway) -> None:
    """Say in the log where it listens."""
    _log.info("listening on port %s", ", ".join(map(str, gateway.ports)))
