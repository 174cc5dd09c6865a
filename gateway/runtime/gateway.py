"""
A running gateway: it listens, reloads, drains, and says how it is.

`running` starts one. What one config is compiled to is in `gateway.runtime.active_config`; what
outlives a config is in `gateway.runtime.process`; both are built by `gateway.runtime.services`.
"""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gateway.admin.figures import Overview
from gateway.admin.listener import AdminServices
from gateway.admin.promotion import Promoted, no_candidate
from gateway.admin.status import Status
from gateway.audit.switch import AuditSwitch
from gateway.config.changes import needs_restart
from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.explain.question import question_of
from gateway.hooks.courier import LAST_S
from gateway.proxy.downstream import bind, tls
from gateway.proxy.downstream.connection import ClientConnection
from gateway.proxy.downstream.listeners import Listeners
from gateway.proxy.downstream.reads import BoundedReads
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.http1.parser import require_c_parsers
from gateway.revocation.revoke import Revocation
from gateway.runtime.active_config import ActiveConfig, activate
from gateway.runtime.candidate import candidate
from gateway.runtime.checks import store_check, upstream_checks
from gateway.runtime.explanation import explanation
from gateway.runtime.operations import ProcessOperations, process_operations
from gateway.runtime.private_listener import dashboard_socket, private_listener
from gateway.runtime.process import Inherited, ProcessServices, standalone
from gateway.runtime.services.access_log import access_log, configure
from gateway.runtime.services.audit import changing
from gateway.runtime.services.listeners import bind_all, close_all, listener_options
from gateway.runtime.services.metrics import Serving, config_names, snapshot_of
from gateway.runtime.services.process import process_services
from gateway.runtime.services.refusals import recent_refusals
from gateway.runtime.services.store import store_server
from gateway.runtime.shadow import shadow_traffic
from gateway.telemetry import logs
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.snapshot import MetricsSnapshot
from gateway.users.magic_api import require_coincurve
from gateway.util.background import background

_log = logging.getLogger("gateway")

_RETIRE_S = 0.1
"""How often a retired config is looked at: does an exchange still use it?"""


class Gateway:
    """A gateway that is serving."""

    addresses: tuple[str, ...] = ()
    """TCP ports and unix sockets that it listens on, each once, as in ``server.listen``."""
    private: str | None = None
    """The name of the private listener, as in the log."""
    operations: ProcessOperations
    """What operators do by the dashboard."""

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
        self._drains_until_s = 0.0
        self.promote_candidate: Callable[[], Awaitable[Promoted]] = no_candidate
        process.wire.deadlines.period_s = active.sweep_s
        active.courier.start()

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
            change = changing(self._process.audit, settings)
            async with AsyncExitStack() as opening:
                new = await opening.enter_async_context(activate(settings, self._process))
                with change:
                    await self._listeners.open(options)
                self._swap(new, opening.pop_all())

    def _swap(self, new: ActiveConfig, stack: AsyncExitStack) -> None:
        """Serve by ``new``, and retire what served until now."""
        logs.configure(new.settings.log.level, new.settings.log.format)
        configure(self._log, new.settings.log.access)
        self.server.serving, self.server.limits = new.serving, new.limits
        self._process.wire.deadlines.period_s = new.sweep_s
        self._active.courier.hand_over(new.courier)
        new.courier.start()
        retiring = asyncio.create_task(self._retire(self._active.serving, self._stack))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        self._active, self._stack = new, stack

    async def use_candidate(self, settings: Settings | None) -> None:
        """
        Have the heads of requests be decided by ``settings`` too, without effect; None for no more.

        Only for a gateway that runs with `ShadowTraffic`. Raises `StartError` for a file that
        cannot be used: then the candidate before stays.
        """
        if self._process.shadow is not None:
            live, process = self._active.settings, self._process
            built = None if settings is None else await candidate(settings, live, process)
            await self._process.shadow.use(built)

    async def _retire(self, serving: ServingConfig, stack: AsyncExitStack) -> None:
        """Close what only ``serving`` uses, when the last exchange on it is done."""
        async with stack:
            for upstream in serving.upstreams.values():
                upstream.retire()
            while self.server.is_using(serving):  # noqa: ASYNC110 (an event would cost each request)
                await asyncio.sleep(_RETIRE_S)
            self._process.wire.counters.forget_removed(config_names(self._active.settings))

    def reopen_files(self) -> None:
        """Go on in the files that have the names now, at SIGUSR1: the audit file."""
        if self._process.audit is not None:
            self._process.audit.trail.reopen()

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._active.settings

    @property
    def trail(self) -> AuditSwitch:
        """Where decisions about identities are written."""
        return self._process.trail

    # --- status and actions, for the private listener ------------------------------------------

    async def state(self) -> Status:
        """See `gateway.admin.app.StatusSource`."""
        store = await store_check(self._process.store)
        is_started, is_draining = bool(self.addresses), self.server.is_draining
        return Status(
            is_started and not is_draining,
            "draining" if is_draining else "ok" if is_started else "starting",
            "ok" if store.ok else "unavailable",
            is_started,
            (store, *upstream_checks(self._active.serving.upstreams)),
            "" if self._process.audit is None else self._process.audit.trail.state,
        )

    async def snapshot(self) -> MetricsSnapshot:
        """See `gateway.admin.app.StatusSource`."""
        serving = Serving(self.server, self._process, self._log, self._listeners.tls())
        return snapshot_of(serving, store_answers=(await store_check(self._process.store)).ok)

    async def overview(self) -> Overview:
        """See `gateway.admin.feed.DashboardSource`."""
        whole = await self.snapshot()
        return Overview(whole, {"gateway": whole})

    async def refusals(self, since: str) -> list[Mapping[str, Any]]:
        """See `gateway.admin.feed.DashboardSource`."""
        return list(recent_refusals(self._log.refusals, since))

    async def promote(self) -> Promoted:
        """See `gateway.admin.api.AdminActions`."""
        return await self.promote_candidate()

    async def revoke(self, name: str) -> Revocation:
        """See `gateway.admin.api.AdminActions`."""
        return await self._active.revoker.revoke(name)

    async def explain(self, document: object) -> Mapping[str, Any]:
        """See `gateway.admin.api.AdminActions`."""
        active, process, question = self._active, self._process, question_of(document)
        reached, lists = active.serving.upstreams, active.lists
        return (await explanation(active.settings, process, reached, question, lists)).as_json()

    # --- the end -------------------------------------------------------------------------------

    @property
    def drain_s(self) -> float:
        """Time that `drain` may take."""
        times = self._active.settings.server.timeouts
        return times.drain_s + (times.drain_delay_s or 0.0)

    async def drain(self) -> None:
        """Stop accepting, and let exchanges under way finish in time; see `ProxyServer.drain`."""
        times = self._active.settings.server.timeouts
        self._drains_until_s = asyncio.get_running_loop().time() + self.drain_s
        await self.server.drain(times.drain_s, times.drain_delay_s or 0.0)

    async def aclose(self) -> None:
        """Close the active config and those that are retiring."""
        left_s = self._drains_until_s - asyncio.get_running_loop().time()
        self._active.courier.end_soon(max(0.0, left_s) + LAST_S)
        for task in tuple(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self._stack.aclose()


def _proxy_server(process: ProcessServices, log: AccessLog, active: ActiveConfig) -> ProxyServer:
    wire, traces = process.wire, process.traces
    return ProxyServer(
        wire.loop,
        active.serving,
        active.limits,
        wire.deadlines,
        wire.write_batcher,
        log.write_request if traces is None else traces.log(log.write_request),
        time.time,
        wire.counters,
        process.tunnels,
        process.counts,
    )


@asynccontextmanager
async def running(
    settings: Settings,
    log_fd: int,
    inherited: Inherited | None = None,
    candidate_settings: Settings | None = None,
) -> AsyncIterator[Gateway]:
    """
    Serve until the context ends, then drain.

    ``log_fd`` takes the access log. Heads are decided by ``candidate_settings`` too, without
    effect. Raises `StartError`, or `NotReached` where Magic has to be asked for the client id.
    """
    require_c_parsers()
    require_coincurve()
    inherited = inherited or standalone()
    is_worker = inherited.sockets is not None
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        if not is_worker:
            path = stack.enter_context(dashboard_socket(settings))
            inherited = inherited._replace(dashboard_socket=path)
        url = inherited.store_url
        if url is None:
            url = await enter(store_server(settings))
        process = await enter(process_services(settings, inherited, url))
        if candidate_settings is not None or inherited.is_shadowed:
            process = process._replace(shadow=await enter(shadow_traffic(process.wire.counters)))
        log = await enter(access_log(log_fd, process.wire.counters))
        configure(log, settings.log.access)
        gateway = await _activated(settings, process, log)
        stack.push_async_callback(gateway.aclose)
        if candidate_settings is not None:
            await gateway.use_candidate(candidate_settings)
        gateway.operations = await enter(
            process_operations(
                lambda: gateway.settings, url, process.store, process.made_up_key, gateway.trail
            )
        )
        if not is_worker:
            services = AdminServices(gateway, gateway, gateway.trail, gateway.operations)
            private = private_listener(
                lambda: gateway.settings, services, inherited.dashboard_socket
            )
            gateway.private = await enter(private)
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
