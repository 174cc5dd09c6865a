"""The composition root: settings in, a running gateway out. Adapters are opened here alone."""

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiohttp import web

from gateway import wiring
from gateway.admin.app import AdminPages
from gateway.client_ip import ClientIp
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.destination import Destinations
from gateway.errors import GatewayError, NotReached, StartError
from gateway.identity.development import DEVELOPMENT_AUDIENCE, DevelopmentMagic
from gateway.identity.directory import CachedDirectory, Source
from gateway.identity.magic import MAGIC_API_URL, MagicApi, SignatureChecker, require_coincurve
from gateway.identity.verifier import DidTokenVerifier
from gateway.pages.app import PagesServer, make_app
from gateway.pages.development import DevelopmentPages
from gateway.pages.routes import PAGES, page_routes
from gateway.pages.session import SessionPages
from gateway.pipeline import Pipeline
from gateway.ports import Sessions, Store
from gateway.proxy import listen
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.downstream import ClientConnection
from gateway.proxy.headers import AnswerFields, IdentityNames, RequestFields
from gateway.proxy.http1 import require_c_parsers
from gateway.proxy.outbox import Outbox
from gateway.proxy.plane import Bounds, DataPlane, Site
from gateway.proxy.upstreams import Upstream
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.routing import RouteTable
from gateway.sessions.cookie import Cookie
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from gateway.store.connect import connect
from gateway.store.embedded import EmbeddedServer
from gateway.store.redis import RedisStore
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.tally import Tally
from gateway.wiring import Shared

_LOG_FLUSH_S = 0.1
_LONGEST_SWEEP_S, _SHORTEST_SWEEP_S = 1.0, 0.02


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is serving."""

    ports: tuple[int, ...]
    """The TCP ports that it listens on, each once, in the order of ``server.listen``."""
    admin_port: int | None
    development: DevelopmentMagic | None


@asynccontextmanager
async def running(
    settings: Settings, log_fd: int, sockets: Sequence[socket.socket] | None = None
) -> AsyncIterator[Gateway]:
    """
    A gateway that serves until the context ends; then it drains.

    ``log_fd`` takes the access log. ``sockets`` are listening already, see `bind_all`; without them
    the gateway binds what ``server.listen`` names. Raises `StartError`, or `MagicUnavailable` where
    Magic has to be asked for the client id.
    """
    require_c_parsers()
    require_coincurve()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_store(settings))
        keys = _server_keys(settings)
        sessions = RedisSessions(store, Sealer(keys), lifetime_cap_s=settings.session.lifetime_s)
        magic = await stack.enter_async_context(_magic(settings))
        directory = CachedDirectory(
            magic.source, store, metadata_ttl_s=settings.identity.metadata_ttl_s
        )
        stack.push_async_callback(directory.aclose)
        tokens = DidTokenVerifier(
            magic.checker.check,
            directory,
            store,
            audience=magic.client_id,
            max_lifetime_s=settings.identity.max_token_lifetime_s,
            server_key=keys[0],
        )
        deadlines = Deadlines(loop, _sweep_s(settings))
        stack.callback(deadlines.close)
        outbox = Outbox(loop)
        pages = await stack.enter_async_context(_pages(settings, sessions, magic.development))
        limiter = RedisLimiter(store, LocalLimiter())
        stack.push_async_callback(limiter.aclose)
        shared = Shared(loop, deadlines, outbox, Tally())
        apps = wiring.upstreams(settings, shared)
        apps[PAGES] = wiring.pages(PAGES, pages.connect, shared)
        for app in apps.values():
            app.start()
            stack.push_async_callback(app.aclose)
        site = _site(settings, apps, _pipeline(settings, limiter, tokens, sessions))
        log = await stack.enter_async_context(_access_log(log_fd))
        plane = DataPlane(
            loop, site, _bounds(settings), deadlines, outbox, log, time.time, shared.tally
        )
        admin_port = await stack.enter_async_context(_admin(settings, store, plane))
        stack.push_async_callback(plane.drain, settings.server.timeouts.drain_s)
        listening = bind_all(settings) if sockets is None else sockets
        for sock in listening:
            plane.closes(await listen.serve(loop, sock, lambda: ClientConnection(plane)))
        ports = dict.fromkeys(map(listen.port_of, listening))
        yield Gateway(tuple(ports), admin_port, magic.development)


def bind_all(settings: Settings, *, reuse_port: bool = False) -> tuple[socket.socket, ...]:
    """The listening sockets of all that ``server.listen`` names. Raises `StartError`."""
    with ExitStack() as undo:
        sockets = [
            undo.enter_context(sock)
            for address in settings.server.listen
            for sock in listen.bind(address, reuse_port=reuse_port)
        ]
        undo.pop_all()
    return tuple(sockets)


# --- the store ---------------------------------------------------------------------------------


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    """The store; for ``embedded://`` together with its server."""
    url = settings.redis.url.get_secret_value()
    async with AsyncExitStack() as stack:
        if url.startswith("embedded://"):
            server = EmbeddedServer(_embedded_directory(url))
            await server.start()
            stack.push_async_callback(server.stop)
            url = server.url
        timeout_s = settings.redis.timeout_s
        store = RedisStore(connect(url, timeout_s), settings.redis.prefix, timeout_s)
        stack.push_async_callback(store.aclose)
        yield store


def _embedded_directory(url: str) -> Path | None:
    path = unquote(urlsplit(url).path)
    return Path(path) if path else None


# --- Magic -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Magic:
    source: Source
    checker: SignatureChecker
    client_id: str
    development: DevelopmentMagic | None


@asynccontextmanager
async def _magic(settings: Settings) -> AsyncIterator[_Magic]:
    """Magic itself, or in development mode the one that is made up."""
    if settings.magic.mode == "development":
        made_up = DevelopmentMagic(secrets.token_bytes(32))
        checker = SignatureChecker("development", DEVELOPMENT_AUDIENCE)
        yield _Magic(made_up, checker, DEVELOPMENT_AUDIENCE, made_up)
        return
    secret_key = settings.magic.secret_key
    if secret_key is None:
        raise StartError("magic.secret_key is missing")
    key = secret_key.get_secret_value()
    api_url = settings.magic.api_url or MAGIC_API_URL
    async with MagicApi(key, api_url, deadline_s=settings.magic.timeout_s) as api:
        client_id = settings.magic.client_id or await _ask_client_id(api)
        yield _Magic(api, SignatureChecker(key, client_id), client_id, None)


async def _ask_client_id(api: MagicApi) -> str:
    try:
        return await api.client_id()
    except GatewayError as error:
        raise NotReached(f"Magic was asked for magic.client_id: {error}") from error


def _server_keys(settings: Settings) -> tuple[bytes, ...]:
    """The sealing keys; development mode makes one up, and its sessions end with the process."""
    keys = tuple(key.get_secret_value().encode() for key in settings.session.keys)
    return keys or (secrets.token_bytes(32),)


# --- the gateway's own pages and the private listener ------------------------------------------


@asynccontextmanager
async def _pages(
    settings: Settings, sessions: Sessions, development: DevelopmentMagic | None
) -> AsyncIterator[PagesServer]:
    prefix = settings.server.prefix
    cookie = Cookie(settings.session.cookie, secure=_is_https(settings))
    routes = SessionPages(sessions, cookie, settings.server.public_url, time.time).routes(prefix)
    if development is not None:
        routes += DevelopmentPages(development, settings.server.public_url, time.time).routes(
            prefix
        )
    server = PagesServer(make_app(routes))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def _admin(settings: Settings, store: Store, plane: DataPlane) -> AsyncIterator[int | None]:
    if settings.admin is None:
        yield None
        return
    host, port = settings.admin.listen
    runner = web.AppRunner(AdminPages(store, lambda: plane.is_draining).app(), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _access_log(fd: int) -> AsyncIterator[AccessLog]:
    log = AccessLog(fd, time.time)

    async def flush_now_and_then() -> None:
        while True:
            await asyncio.sleep(_LOG_FLUSH_S)
            log.flush()

    task = asyncio.create_task(flush_now_and_then())
    try:
        yield log
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        log.flush()


# --- the data plane ----------------------------------------------------------------------------


def _pipeline(
    settings: Settings, limiter: RedisLimiter, tokens: DidTokenVerifier, sessions: Sessions
) -> Pipeline:
    routes = compiled.routes(settings)
    default = settings.limits.get("default")
    page_limits = (compiled.limit("default", default),) if default is not None else ()
    server = settings.server
    public_host = urlsplit(server.public_url).netloc
    table = RouteTable([*page_routes(server.prefix, page_limits), *routes])
    return Pipeline(
        destinations=Destinations(table, public_host),
        limiter=limiter,
        tokens=tokens,
        sessions=sessions,
        fields=RequestFields(_identity_names(settings), settings.session.cookie, public_host),
        cookie_name=settings.session.cookie,
        public_origin=server.public_url,
        client_ip=ClientIp(server.client_ip),
        trusted_proxies=server.trusted_proxies,
    )


def _identity_names(settings: Settings) -> IdentityNames:
    names = settings.identity.headers
    return IdentityNames(names.issuer, names.email, names.public_address, names.phone)


def _site(settings: Settings, apps: dict[str, Upstream], pipeline: Pipeline) -> Site:
    return Site(
        pipeline.admit,
        apps,
        AnswerFields(settings.session.cookie),
        settings.server.max.body_bytes,
    )


def _bounds(settings: Settings) -> Bounds:
    times, caps = settings.server.timeouts, settings.server.max
    return Bounds(
        head_s=times.head_s,
        body_idle_s=times.body_idle_s,
        keep_alive_s=times.keep_alive_s,
        head_bytes=caps.head_bytes,
        fields=caps.fields,
        connections=caps.connections,
    )


def _sweep_s(settings: Settings) -> float:
    """A tenth of the shortest time-out: no deadline is met later than that."""
    times = settings.server.timeouts
    shortest = min(times.head_s, times.body_idle_s, times.keep_alive_s)
    for upstream in settings.upstreams.values():
        shortest = min(shortest, upstream.timeouts.response_s, upstream.timeouts.idle_s)
    return min(_LONGEST_SWEEP_S, max(_SHORTEST_SWEEP_S, shortest / 10))


def _is_https(settings: Settings) -> bool:
    return settings.server.public_url.startswith("https:")
