"""
A running gateway: it listens, reloads, drains, and says how it is.

`running` starts one. What one config is compiled to is in `gateway.runtime.active_config`; what
outlives a config is in `gateway.runtime.process`; both are built by `gateway.runtime.services`.
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.admin import listener
from gateway.admin.app import Status
from gateway.config.changes import needs_restart
from gateway.config.schema import Settings
from gateway.core.errors import StartError, StoreUnavailable
from gateway.proxy.downstream import bind, tls
from gateway.proxy.downstream.connection import ClientConnection
from gateway.proxy.downstream.listeners import Listeners
from gateway.proxy.downstream.reads import BoundedReads
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.http1.parser import require_c_parsers
from gateway.revocation.revoke import Revocation
from gateway.runtime.active_config import ActiveConfig, activate
from gateway.runtime.process import Inherited, ProcessServices, standalone
from gateway.runtime.services.access_log import access_log
from gateway.runtime.services.listeners import bind_all, close_all, listener_options
from gateway.runtime.services.process import process_services
from gateway.runtime.services.store import store_server
from gateway.telemetry import logs, snapshot
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.metrics import (
    ACCESS_LOG_DROPPED,
    CLOCK_SKEW_SECONDS,
    CONNECTIONS_OPEN,
    LOG_DROPPED,
    TUNNELS_OPEN,
    UPSTREAM_BUSY,
    UPSTREAM_IDLE,
    UPSTREAM_SERVERS_OUT,
)
from gateway.telemetry.snapshot import MetricsSnapshot
from gateway.users.magic_api import require_coincurve
from gateway.util.background import background

_log = logging.getLogger("gateway")

_PING_S = 0.4
"""Time for the store to answer a ping; most of those who ask for readiness wait for a second."""
_RETIRE_S = 0.1
"""How often a retired config is looked at: does an exchange still use it?"""


class Gateway:
    """A gateway that is serving."""

    addresses: tuple[str, ...] = ()
    """TCP ports and unix sockets that it listens on, each once, as in ``server.listen``."""
    admin_port: int | None = None

    def __init__(
        self,
        process: ProcessServices,
        log: AccessLog,
        active: ActiveConfig,
        stack: AsyncExitStack,
    ) -> None:
        """``stack`` closes ``active``."""
        self.development = process.magic.development
        self.server = _proxy_server(process, log, active)
        self._process = process
        self._log = log
        self._active = active
        self._stack = stack
        self._listeners = Listeners(
            self.server,
            lambda accepted: BoundedReads(
                ClientConnection(self.server, accepted), self.server.limits.head_bytes
            ),
        )
        self._retiring: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        process.wire.deadlines.period_s = active.sweep_s

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept clients on ``sockets``. Raises `StartError`."""
        self.server.close_on_drain(self._listeners)
        self._listeners.sockets = sockets
        await self._listeners.open(listener_options(self._active.settings, None))
        self.addresses = tuple(dict.fromkeys(map(bind.name_of, sockets)))

    async def accept_for(self, number: int, sockets: Sequence[socket.socket]) -> None:
        """Accept for another worker; see `gateway.runtime.handoff`."""
        if self.server.is_draining:
            close_all(sockets)
            return
        try:
            await self._listeners.accept_for(number, sockets)
        except OSError as error:  # no descriptor is left
            _log.error("connections to worker %d wait: %s", number, error.strerror)
            close_all(sockets)

    async def watch_tls_files(self) -> None:
        """Read the files of TLS again when they change, without end."""
        await tls.watch(self._listeners.tls)

    # --- reload --------------------------------------------------------------------------------

    async def reload(self, settings: Settings) -> None:
        """
        Serve by ``settings`` from the next request on; exchanges under way keep the old ones.

        All of them or none: raises `StartError` where a part needs a restart, and what activating
        a config raises; then nothing has changed.
        """
        async with self._reloading:
            if fixed := needs_restart(self._active.settings, settings):
                raise StartError(f"{', '.join(fixed)}: needs a restart")
            options = listener_options(settings, self._listeners.options)
            async with AsyncExitStack() as opening:
                new = await opening.enter_async_context(activate(settings, self._process))
                await self._listeners.open(options)
                self._swap(new, opening.pop_all())

    def _swap(self, new: ActiveConfig, stack: AsyncExitStack) -> None:
        """Serve by ``new``, and retire what served until now."""
        logs.configure(new.settings.log.level, new.settings.log.format)
        self.server.serving, self.server.limits = new.serving, new.limits
        self._process.wire.deadlines.period_s = new.sweep_s
        retiring = asyncio.create_task(self._retire(self._active.serving, self._stack))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        self._active, self._stack = new, stack

    async def _retire(self, serving: ServingConfig, stack: AsyncExitStack) -> None:
        """Close what only ``serving`` uses, when the last exchange on it is done."""
        async with stack:
            for upstream in serving.upstreams.values():
                upstream.retire()
            while self.server.is_using(serving):  # noqa: ASYNC110 (an event would cost each request)
                await asyncio.sleep(_RETIRE_S)

    # --- status and actions, for the private listener ------------------------------------------

    async def state(self) -> Status:
        """See `gateway.admin.app.StatusSource`."""
        draining = self.server.is_draining
        try:
            async with asyncio.timeout(_PING_S):
                await self._process.store.ping()
        except (StoreUnavailable, TimeoutError):
            store = "unavailable"
        else:
            store = "ok"
        return Status(not draining, "draining" if draining else "ok", store)

    async def snapshot(self) -> MetricsSnapshot:
        """See `gateway.admin.app.StatusSource`."""
        levels = Counter({(CONNECTIONS_OPEN, ""): self.server.open_connections})
        levels[TUNNELS_OPEN, ""] = len(self._process.tunnels)
        levels[CLOCK_SKEW_SECONDS, ""] = self._process.magic.skew.ahead_s
        for name, upstream in self._active.serving.upstreams.items():
            levels[UPSTREAM_SERVERS_OUT, name] = upstream.servers_out()
            for server in upstream.servers:
                idle, in_use = server.pool.usage()
                levels[UPSTREAM_IDLE, name] += idle
                levels[UPSTREAM_BUSY, name] += in_use
        dropped = {(ACCESS_LOG_DROPPED, ""): self._log.dropped, (LOG_DROPPED, ""): logs.dropped()}
        return snapshot.of(self._process.wire.counters, dropped, levels)

    async def revoke(self, name: str) -> Revocation:
        """See `gateway.admin.api.AdminActions`."""
        return await self._active.revoker.revoke(name)

    # --- the end -------------------------------------------------------------------------------

    @property
    def drain_s(self) -> float:
        """Time that `drain` may take."""
        times = self._active.settings.server.timeouts
        return times.drain_s + (times.drain_delay_s or 0.0)

    async def drain(self) -> None:
        """Stop accepting, and let exchanges under way finish in time; see `ProxyServer.drain`."""
        times = self._active.settings.server.timeouts
        await self.server.drain(times.drain_s, times.drain_delay_s or 0.0)

    async def aclose(self) -> None:
        """Close the active config and those that are retiring."""
        for task in tuple(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self._stack.aclose()


def _proxy_server(process: ProcessServices, log: AccessLog, active: ActiveConfig) -> ProxyServer:
    wire = process.wire
    return ProxyServer(
        wire.loop,
        active.serving,
        active.limits,
        wire.deadlines,
        wire.write_batcher,
        log.write_request,
        time.time,
        wire.counters,
        process.tunnels,
        process.counts,
    )


@asynccontextmanager
async def running(
    settings: Settings, log_fd: int, inherited: Inherited | None = None
) -> AsyncIterator[Gateway]:
    """
    Serve until the context ends, then drain.

    ``log_fd`` takes the access log. Raises `StartError`, or `NotReached` where Magic has to be
    asked for the client id.
    """
    require_c_parsers()
    require_coincurve()
    inherited = inherited or standalone()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        url = inherited.store_url
        if url is None:
            url = await enter(store_server(settings))
        process = await enter(process_services(settings, inherited, url))
        log = await enter(access_log(log_fd, process.wire.counters))
        gateway = await _activated(settings, process, log)
        stack.push_async_callback(gateway.aclose)
        gateway.admin_port = await enter(listener.listening(settings.admin, gateway, gateway))
        sockets: list[socket.socket] = []
        stack.callback(close_all, sockets)
        stack.push_async_callback(gateway.drain)  # while it still says that it is not ready
        sockets += bind_all(settings) if inherited.sockets is None else inherited.sockets
        await gateway.listen(sockets)
        await enter(background(gateway.watch_tls_files()))
        yield gateway


async def _activated(settings: Settings, process: ProcessServices, log: AccessLog) -> Gateway:
    async with AsyncExitStack() as opening:
        active = await opening.enter_async_context(activate(settings, process))
        return Gateway(process, log, active, opening.pop_all())
