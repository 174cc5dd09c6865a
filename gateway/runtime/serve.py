"""Run a gateway until a signal stops it."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvloop

from gateway.config.schema import Settings
from gateway.config.source import ConfigFile
from gateway.proxy.downstream import tls
from gateway.runtime import garbage
from gateway.runtime.gateway import Gateway, running
from gateway.runtime.heap import keep_freed_buffers
from gateway.runtime.reload import reloading
from gateway.telemetry.metrics import RELOADS
from gateway.util import kernel
from gateway.util.background import background

_log = logging.getLogger("gateway")


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` on uvloop: half the cost of asyncio's own loop for what a proxy does."""
    keep_freed_buffers()
    sys.unraisablehook = tls.ignore_malformed_names
    uvloop.run(work)


class Stop:
    """Waits for signals: the first asks to drain, the second to end at once."""

    def __init__(self, *signals: signal.Signals) -> None:
        self._asked = asyncio.Event()
        self._hurry: Callable[[], None] | None = None
        for number in signals:
            asyncio.get_running_loop().add_signal_handler(number, self.now)

    def now(self) -> None:
        """Stop, as a signal does."""
        if self._asked.is_set() and self._hurry is not None:
            self._hurry()
        self._asked.set()

    def then(self, hurry: Callable[[], None]) -> None:
        """Set what the second signal does."""
        self._hurry = hurry

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._asked.wait()


async def serve(
    settings: Settings,
    ready: Callable[[Gateway], None],
    file: ConfigFile | None = None,
    on_stop: Callable[[float], object] = lambda _drain_s: None,
) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain.

    ``ready`` is called once, when connections are accepted. ``file`` is where the settings are
    from: it is read again at SIGHUP and when it changes. ``on_stop`` is called with the time to
    drain, when that begins. Raises what `running` raises.
    """
    stop = Stop(signal.SIGTERM, signal.SIGINT)
    if file is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it would end a gateway that is starting
    async with running(settings, sys.stdout.fileno()) as gateway:
        stop.then(gateway.server.force_close)
        async with _reloading(file, gateway), collecting(gateway):
            ready(gateway)
            await stop.wait()
        on_stop(gateway.drain_s)
        _log.info("draining")


@asynccontextmanager
async def _reloading(file: ConfigFile | None, gateway: Gateway) -> AsyncIterator[None]:
    if file is None:
        yield
        return

    async def reload() -> None:
        with garbage.frozen_after():
            settings, _ = await asyncio.to_thread(file.load)  # many routes take half a second
            await gateway.reload(settings)

    async with reloading(file, reload, gateway.server.counters.labelled_events(RELOADS)):
        yield


def collecting(gateway: Gateway) -> AbstractAsyncContextManager[None]:
    """Freeze what start-up made; collect what came since while no request is under way."""
    garbage.freeze()
    return background(garbage.collect_when_idle(lambda: gateway.server.is_idle))


def announce(gateway: Gateway) -> None:
    """Log the addresses that the gateway listens on."""
    announce_addresses(gateway.addresses, gateway.admin_port)


def announce_addresses(addresses: Iterable[str], admin_port: int | None) -> None:
    """Log the addresses that the gateway listens on, and whether its parts in C are used."""
    if admin_port is not None:
        _log.info("private listener on port %d", admin_port)
    _log.info("listening on %s", ", ".join(addresses))
    _log.info("heads are read by %s", kernel.DESCRIPTION)
