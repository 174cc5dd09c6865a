"""Run a gateway until a signal stops it."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvloop

from gateway.config.schema import Settings
from gateway.config.source import ConfigSnapshot
from gateway.proxy.downstream import tls
from gateway.runtime import garbage
from gateway.runtime.config_files import ConfigChanges, Files, watching
from gateway.runtime.gateway import Gateway, running
from gateway.runtime.heap import keep_freed_buffers
from gateway.runtime.service_manager import ServiceManager
from gateway.runtime.services.metrics import noting_reloads
from gateway.runtime.services.unmarked import unmarked_warnings
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
    files: Files | None = None,
    on_stop: Callable[[float], object] = lambda _drain_s: None,
    candidate: Settings | None = None,
) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain.

    ``ready`` is called once, when connections are accepted. ``files`` are where the settings and
    those of the ``candidate`` are from: they are read again when they change, and the first at
    SIGHUP. ``on_stop`` is called with the time to drain, when that begins. Raises what `running`
    raises.
    """
    stop = Stop(signal.SIGTERM, signal.SIGINT)
    if files is not None:
        ignore_until_started()
    async with running(settings, sys.stdout.fileno(), candidate_settings=candidate) as gateway:
        stop.then(gateway.server.force_close)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, gateway.reopen_files)
        gateway.operations.stop = stop.now
        manager = ServiceManager(os.environ)
        reloads = _reloading(files, gateway, manager)
        async with reloads, collecting(gateway), manager.watched(_turns):
            ready(gateway)
            manager.ready()
            await stop.wait()
        on_stop(gateway.drain_s)
        manager.stopping(gateway.drain_s)
        _log.info("draining")


def ignore_until_started() -> None:
    """Ignore the signals to reload and to reopen files: they would end a gateway that starts."""
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


@asynccontextmanager
async def _reloading(
    files: Files | None, gateway: Gateway, manager: ServiceManager
) -> AsyncIterator[None]:
    if files is None:
        yield
        return

    async def put_in_use(settings: Settings, _: ConfigSnapshot) -> None:
        await gateway.reload(settings)
        look_for_unmarked(settings)

    async def decide_by(settings: Settings, _: ConfigSnapshot) -> None:
        with garbage.frozen_after():
            await gateway.use_candidate(settings)

    async def withdraw() -> None:
        await gateway.use_candidate(None)

    note = noting_reloads(gateway.server.counters)
    changes = ConfigChanges(put_in_use, decide_by, withdraw, note, garbage.frozen_after)
    operations = gateway.operations
    async with (
        unmarked_warnings(gateway.settings) as look_for_unmarked,
        watching(files, changes, gateway, manager, gateway.trail, operations),
    ):
        yield


async def _turns() -> bool:
    """Whether the event loop turns: it does where this is run."""
    return True


def collecting(gateway: Gateway) -> AbstractAsyncContextManager[None]:
    """Freeze what start-up made; collect what came since while no request is under way."""
    garbage.freeze()
    return background(garbage.collect_when_idle(lambda: gateway.server.is_idle))


def announce(gateway: Gateway) -> None:
    """Log the addresses that the gateway listens on."""
    announce_addresses(gateway.addresses, gateway.private)


def announce_addresses(addresses: Iterable[str], private: str | None) -> None:
    """Log the addresses that the gateway listens on, and whether its parts in C are used."""
    if private is not None:
        _log.info("private listener on %s", private)
    _log.info("listening on %s", ", ".join(addresses))
    _log.info("heads are read by %s", kernel.DESCRIPTION)
