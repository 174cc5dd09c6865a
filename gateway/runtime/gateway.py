"""
The composition root: settings in, a running gateway out.

Here is what a process opens once; what follows from the config is in `gateway.runtime.active_config`.
"""

import asyncio
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple

from gateway.admin import listener
from gateway.admin.app import Status
from gateway.config.changes import needs_restart
from gateway.config.schema import Settings
from gateway.core.errors import (
    GatewayError,
    NotReached,
    StartError,
    StoreUnavailable,
)
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Bus, Store
from gateway.proxy.downstream import bind, tls
from gateway.proxy.downstream.connection import ClientConnection
from gateway.proxy.downstream.listeners import Listeners
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.downstream.socket_activation import take
from gateway.proxy.http1.parser import require_c_parsers
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.tunnel.registry import ProofLookup, TunnelRegistry
from gateway.proxy.upstream.connect import Resolver
from gateway.ratelimit.local import LocalLimiter
from gateway.revocation import redis as revocations
from gateway.revocation.revoke import Revoked
from gateway.runtime import active_config
from gateway.runtime.active_config import ActiveConfig
from gateway.runtime.process import MagicServices, ProcessServices
from gateway.runtime.services import store as stores
from gateway.runtime.services import upstreams as wiring
from gateway.runtime.services.upstreams import WireServices
from gateway.sessions import redis as sessions
from gateway.store.bus import StoreBus
from gateway.telemetry import snapshot
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import (
    ACCESS_LOG_DROPPED,
    BUS_MESSAGES,
    BUS_SUBSCRIPTIONS,
    CLOCK_SKEW_SECONDS,
    CONNECTIONS_OPEN,
    MAGIC_LOGOUTS,
    TUNNELS_OPEN,
    UPSTREAM_BUSY,
    UPSTREAM_IDLE,
    UPSTREAM_SERVERS_OUT,
)
from gateway.telemetry.snapshot import MetricsSnapshot
from gateway.users.clock_skew import ClockSkew
from gateway.users.development import DEVELOPMENT_AUDIENCE, DevelopmentMagic
from gateway.users.magic_api import (
    MAGIC_API_URL,
    MagicApi,
    SignatureChecker,
    require_coincurve,
)
from gateway.users.magic_logout import MagicLogout
from gateway.util.background import background
from gateway.util.deadlines import Deadlines

_LOG_FLUSH_S = 0.1
_FIRST_SWEEP_S = 0.02
_PING_S = 0.4
"""For the store to say that it is there; many that ask whether we are ready wait for a second."""
_RETIRE_S = 0.1
"""How often an old generation is looked at: is it still used?"""


class Inherited(NamedTuple):
    """What a process is handed by its supervisor, and makes for itself where there is none."""

    seed: bytes
    """Of the users of development mode."""
    made_up_key: bytes
    """Seals where the config names no key."""
    sockets: Sequence[socket.socket] | None = None
    """Listening already, see `bind_all`; without them the addresses of the config are bound."""
    store_url: str | None = None
    """Of an embedded server that runs already."""
    client_id: str | None = None
    """What Magic said that it is."""


def standalone() -> Inherited:
    """What a process without supervisor has."""
    return Inherited(secrets.token_bytes(32), secrets.token_bytes(32))


class Gateway:
    """A gateway that is serving."""

    places: tuple[str, ...] = ()
    """TCP ports and unix sockets that it listens on, each once, as in ``server.listen``."""
    admin_port: int | None = None

    def __init__(
        self,
        process: ProcessServices,
        server: ProxyServer,
        log: AccessLog,
        current: ActiveConfig,
        stack: AsyncExitStack,
    ) -> None:
        self.development = process.magic.development
        self._process = process
        self.server = server
        self._log = log
        self._current = current
        self._stack = stack
        """Closes the current generation."""
        self._doors = Listeners(server, lambda accepted: ClientConnection(server, accepted))
        self._retiring: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Let clients in by ``sockets``. Raises `StartError`."""
        self.server.closes(self._doors)
        self._doors.sockets = sockets
        await self._doors.open(wiring.listener_options(self._current.settings, None))
        self.places = tuple(dict.fromkeys(map(bind.name_of, sockets)))

    async def look_after_files(self) -> None:
        """Read the files of TLS again when they change, without end."""
        await tls.watch(self._doors.tls)

    async def reload(self, settings: Settings) -> None:
        """
        Serve by ``settings`` from the next request on; what is under way goes on by the old ones.

        All of them or none: raises `StartError` where a part needs a restart, and whatever opening
        a generation raises; then nothing has changed.
        """
        async with self._reloading:
            if fixed := needs_restart(self._current.settings, settings):
                raise StartError(f"{', '.join(fixed)}: needs a restart")
            options = wiring.listener_options(settings, self._doors.options)
            async with AsyncExitStack() as opening:
                new = await opening.enter_async_context(
                    active_config.activate(settings, self._process)
                )
                await self._doors.open(options)
                stack = opening.pop_all()
            self.server.serving, self.server.limits = new.serving, new.limits
            self._process.shared.deadlines.period_s = new.sweep_s
            retire = asyncio.create_task(self._retire(self._current.serving, self._stack))
            self._retiring.add(retire)
            retire.add_done_callback(self._retiring.discard)
            self._current, self._stack = new, stack

    async def _retire(self, serving: ServingConfig, stack: AsyncExitStack) -> None:
        """Close what only ``serving`` uses, when the last exchange on it is done."""
        async with stack:
            for upstream in serving.upstreams.values():
                upstream.retire()
            while self.server.is_using(serving):  # noqa: ASYNC110 (an event would cost each request)
                await asyncio.sleep(_RETIRE_S)

    async def state(self) -> Status:
        """See `gateway.admin.app.Source`."""
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
        """See `gateway.admin.app.Source`."""
        levels = Counter({(CONNECTIONS_OPEN, ""): self.server.open_connections})
        levels[TUNNELS_OPEN, ""] = len(self._process.tunnels)
        levels[CLOCK_SKEW_SECONDS, ""] = self._process.magic.skew.ahead_s
        for name, upstream in self._current.serving.upstreams.items():
            levels[UPSTREAM_SERVERS_OUT, name] = upstream.servers_out()
            for server in upstream.servers:
                idle, in_use = server.pool.usage()
                levels[UPSTREAM_IDLE, name] += idle
                levels[UPSTREAM_BUSY, name] += in_use
        dropped = {(ACCESS_LOG_DROPPED, ""): self._log.dropped}
        return snapshot.of(self._process.shared.counters, dropped, levels)

    async def revoke(self, issuer: str) -> Revoked:
        """See `gateway.admin.api.Deeds`."""
        return await self._current.revoker.revoke(issuer)

    async def drain(self) -> None:
        """Stop accepting, and let what is under way finish in time; see `ProxyServer.drain`."""
        times = self._current.settings.server.timeouts
        await self.server.drain(times.drain_s, times.drain_delay_s or 0.0)

    async def aclose(self) -> None:
        """Close all generations."""
        for task in tuple(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self._stack.aclose()


@asynccontextmanager
async def running(
    settings: Settings, log_fd: int, given: Inherited | None = None
) -> AsyncIterator[Gateway]:
    """
    A gateway that serves until the context ends; then it drains.

    ``log_fd`` takes the access log. Raises `StartError`, or `NotReached` where Magic has to be
    asked for the client id.
    """
    require_c_parsers()
    require_coincurve()
    given = given or standalone()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(stores.store_url(settings, given.store_url))
        store = await stack.enter_async_context(stores.store_at(url, settings))
        magic = await stack.enter_async_context(_magic(settings, given))
        deadlines = Deadlines(loop, _FIRST_SWEEP_S)
        stack.callback(deadlines.close)
        shared = WireServices(loop, deadlines, WriteBatcher(loop), Counters(), Resolver(loop))
        tunnels = TunnelRegistry(loop, time.time, shared.counters)
        bus = StoreBus(
            store,
            shared.counters.labelled_events(BUS_MESSAGES),
            shared.counters.events(BUS_SUBSCRIPTIONS),
        )
        magic_logout = await stack.enter_async_context(
            _farewells(settings, shared.counters, magic.skew)
        )
        process = ProcessServices(
            shared, store, magic, LocalLimiter(), given.made_up_key, tunnels, bus, magic_logout, {}
        )
        await stack.enter_async_context(_looking_after(tunnels, store, bus))
        log = await stack.enter_async_context(_access_log(log_fd, shared.counters))
        gateway = await _first(settings, process, log)
        await stack.enter_async_context(stores.hearing(url, settings, bus))
        listening: list[socket.socket] = []
        stack.callback(close_all, listening)
        stack.push_async_callback(gateway.aclose)
        private = listener.listening(settings.admin, gateway, gateway)
        gateway.admin_port = await stack.enter_async_context(private)
        stack.push_async_callback(gateway.drain)  # while it still says that it is not ready
        listening += bind_all(settings) if given.sockets is None else given.sockets
        await gateway.listen(listening)
        await stack.enter_async_context(background(gateway.look_after_files()))
        yield gateway


@asynccontextmanager
async def _looking_after(tunnels: TunnelRegistry, store: Store, bus: Bus) -> AsyncIterator[None]:
    """End tunnels whose proof is void: at once where the bus says so, soon where it does not."""
    truth = ProofLookup(partial(sessions.ended, store), partial(revocations.epochs_ms, store))
    with ExitStack() as stack:
        stack.callback(bus.on(InvalidationKind.SESSION, tunnels.recheck_session))
        stack.callback(bus.on(InvalidationKind.REVOKED, tunnels.recheck_issuer))
        stack.callback(bus.on_missed(tunnels.recheck_all))
        async with background(tunnels.watch(truth)), background(tunnels.recheck_pending(truth)):
            yield


async def _first(settings: Settings, process: ProcessServices, log: AccessLog) -> Gateway:
    stack = AsyncExitStack()
    first = await stack.enter_async_context(active_config.activate(settings, process))
    loop, deadlines, write_batcher, counters, _ = process.shared
    common = deadlines, write_batcher, log, time.time, counters, process.tunnels
    server = ProxyServer(loop, first.serving, first.limits, *common)
    deadlines.period_s = first.sweep_s
    return Gateway(process, server, log, first, stack)


def bind_all(settings: Settings, *, reuse_port: bool = False) -> tuple[socket.socket, ...]:
    """
    The listening sockets of all that ``server.listen`` names.

    To be closed by `close_all`. Raises `StartError`.
    """
    passed = take(os.environ, os.getpid())
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        undo.callback(close_all, sockets)
        for place in settings.server.listen:
            sockets += bind.bind(place, passed=passed, reuse_port=reuse_port)
        undo.pop_all()
    return tuple(sockets)


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close what `bind_all` has opened."""
    for sock in sockets:
        bind.close(sock)


# --- Magic -------------------------------------------------------------------------------------


@asynccontextmanager
async def _magic(settings: Settings, given: Inherited) -> AsyncIterator[MagicServices]:
    """Magic itself, or in development mode the one that is made up."""
    if settings.magic.mode == "development":
        made_up = DevelopmentMagic(given.seed)
        checker = SignatureChecker("development", DEVELOPMENT_AUDIENCE)
        yield MagicServices(made_up, checker, DEVELOPMENT_AUDIENCE, made_up, ClockSkew())
        return
    key, skew = _secret_key(settings), ClockSkew()
    async with magic_api(settings, skew) as api:
        client_id = settings.magic.client_id or given.client_id or await _ask_client_id(api)
        yield MagicServices(api, SignatureChecker(key, client_id), client_id, None, skew)


@asynccontextmanager
async def _farewells(
    settings: Settings, counters: Counters, skew: ClockSkew
) -> AsyncIterator[MagicLogout | None]:
    """
    Who signs people out at Magic; None in development mode.

    By a client of its own: that Magic cannot be told of an end must not keep anybody from coming.
    """
    if settings.magic.mode == "development":
        yield None
        return
    async with magic_api(settings, skew) as api:
        magic_logout = MagicLogout(api.log_out, counters.labelled_events(MAGIC_LOGOUTS))
        yield magic_logout
        await magic_logout.aclose()


async def client_id(settings: Settings) -> str | None:
    """The client id that Magic has to be asked for, if it has to be. Raises `NotReached`."""
    if settings.magic.mode == "development" or settings.magic.client_id:
        return None
    async with magic_api(settings) as api:
        return await _ask_client_id(api)


def magic_api(settings: Settings, skew: ClockSkew | None = None) -> MagicApi:
    """A client of Magic's, to be opened. Raises `StartError`."""
    api_url, deadline_s = settings.magic.api_url or MAGIC_API_URL, settings.magic.timeout_s
    return MagicApi(_secret_key(settings), api_url, deadline_s=deadline_s, skew=skew)


def _secret_key(settings: Settings) -> str:
    if settings.magic.secret_key is None:
        raise StartError("magic.secret_key is missing")
    return settings.magic.secret_key.get_secret_value()


async def _ask_client_id(api: MagicApi) -> str:
    try:
        return await api.client_id()
    except GatewayError as error:
        raise NotReached(f"Magic was asked for magic.client_id: {error}") from error


# --- the access log ----------------------------------------------------------------------------


@asynccontextmanager
async def _access_log(fd: int, counters: Counters) -> AsyncIterator[AccessLog]:
    log = AccessLog(fd, time.time, counters)

    async def flush_now_and_then() -> None:
        while True:
            await asyncio.sleep(_LOG_FLUSH_S)
            log.flush()

    try:
        async with background(flush_now_and_then()):
            yield log
    finally:
        log.flush()
