"""
What a config is compiled to, and the adapters that belong to it.

A reload opens a new generation, swaps its site in between two requests, and closes the old one when
the last exchange on it is done. What outlives a config is in `Process`.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway import signing, ways, wiring
from gateway.assertions import Assertions
from gateway.attempts.contact import ContactHasher
from gateway.attempts.redis import Attempts
from gateway.authentication import Authentication
from gateway.authorisation import Authorisation
from gateway.client_ip import ClientIp
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.destination import Destinations
from gateway.identity.assertion import SigningKey
from gateway.identity.development import DevelopmentMagic
from gateway.identity.did_token import Rules
from gateway.identity.directory import CachedDirectory, Source
from gateway.identity.farewells import Farewells
from gateway.identity.magic import SignatureChecker
from gateway.identity.metadata import Lifetimes, Seals
from gateway.identity.role_store import StoredRoles
from gateway.identity.verifier import DidTokenVerifier
from gateway.invalidation import Subject
from gateway.pages.app import PagesServer, make_app
from gateway.pages.attempt import AttemptPages
from gateway.pages.development import DevelopmentPages
from gateway.pages.keys import KeyPages
from gateway.pages.login import LoginPages
from gateway.pages.routes import PAGES, page_routes
from gateway.pages.session import SessionPages
from gateway.pages.sessions import OwnSessionsPages
from gateway.pipeline import Pipeline
from gateway.ports import Bus, Revocations, Sessions, Store
from gateway.proxy.headers import AnswerFields, IdentityNames, RequestFields
from gateway.proxy.hop import ForwardedAs
from gateway.proxy.plane import Bounds, Site
from gateway.proxy.tunnels import Tunnels
from gateway.proxy.upstreams import Upstream
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.revocation import KEPT_BEYOND_S
from gateway.routing import RouteTable
from gateway.sessions.cache import FRESH_S, SessionCache
from gateway.sessions.cookie import Cookie
from gateway.sessions.redis import RedisSessions
from gateway.sessions.revocations import StoreRevocations
from gateway.sessions.revoking import Revoker
from gateway.sessions.seal import Sealer
from gateway.sessions.use import STEPS

_LONGEST_SWEEP_S, _SHORTEST_SWEEP_S = 1.0, 0.02


@dataclass(frozen=True, slots=True)
class Magic:
    """Whom a process asks about users, and the one client id that it checks tokens for."""

    source: Source
    checker: SignatureChecker
    client_id: str
    development: DevelopmentMagic | None


class Process(NamedTuple):
    """What a process has once, whatever config is in use."""

    shared: wiring.Shared
    store: Store
    magic: Magic
    local: LocalLimiter
    made_up_key: bytes
    """Seals where the config names no key: development mode."""
    tunnels: Tunnels
    bus: Bus
    farewells: Farewells | None
    """None where there is no Magic to say goodbye to."""


class Generation(NamedTuple):
    """One config, ready to serve."""

    settings: Settings
    site: Site
    bounds: Bounds
    sweep_s: float
    """How often deadlines are looked at."""
    revoker: Revoker


@asynccontextmanager
async def opened(settings: Settings, process: Process) -> AsyncIterator[Generation]:
    """A generation; what it opened is closed at the end of the context."""
    async with AsyncExitStack() as stack:
        keys = _server_keys(settings) or (process.made_up_key,)
        revocations = _revocations(settings, process)
        stack.callback(process.bus.on(Subject.REVOKED, revocations.forget))
        stack.callback(process.bus.on_missed(revocations.forget_all))
        sessions = _sessions(settings, process, keys, revocations)
        stack.push_async_callback(sessions.aclose)
        stack.callback(process.bus.on(Subject.SESSION, sessions.forget))
        stack.callback(process.bus.on(Subject.REVOKED, sessions.forget_issuer))
        stack.callback(process.bus.on_missed(sessions.forget_all))
        directory = _directory(settings, process, keys)
        sessions.latest = directory.latest
        stack.push_async_callback(directory.aclose)
        stack.callback(process.bus.on(Subject.USER, directory.forget))
        tokens = _verifier(settings, process, directory, keys[0], revocations)
        signing_keys = signing.signing_keys(settings, process.made_up_key)
        limiter = RedisLimiter(process.store, process.local)
        stack.push_async_callback(limiter.aclose)
        attempts = _attempts(settings, process, limiter, keys)
        pages = await stack.enter_async_context(
            _pages(settings, sessions, process, directory, attempts, revocations, signing_keys)
        )
        upstreams = wiring.upstreams(settings, process.shared)
        upstreams[PAGES] = wiring.pages(PAGES, pages.connect, process.shared)
        authorisation = _authorisation(settings, process, stack)
        assertions = signing.assertions(settings, signing_keys)
        for upstream in upstreams.values():
            upstream.start()
            stack.push_async_callback(upstream.aclose)
        around = ways.Around(
            process.store,
            process.bus,
            limiter,
            sessions,
            tokens,
            directory,
            revocations,
            keys,
            process.shared.tally.add,
        )
        authentication = ways.authentication(settings, around, stack)
        pipeline = _pipeline(settings, limiter, authentication, authorisation, assertions)
        site = _site(settings, upstreams, pipeline)
        revoker = Revoker(revocations, sessions, _farewell(settings, process))
        yield Generation(settings, site, _bounds(settings), _sweep_s(settings), revoker)


# --- who asks ----------------------------------------------------------------------------------


def _server_keys(settings: Settings) -> tuple[bytes, ...]:
    return tuple(key.get_secret_value().encode() for key in settings.session.keys)


def _revocations(settings: Settings, process: Process) -> StoreRevocations:
    identity, tally = settings.identity, process.shared.tally
    return StoreRevocations(
        process.store,
        process.bus,
        kept_s=identity.max_token_lifetime_s + KEPT_BEYOND_S,
        grace_s=settings.session.grace_s,
        count=tally.add,
    )


def _sessions(
    settings: Settings, process: Process, keys: Sequence[bytes], revocations: Revocations
) -> RedisSessions:
    sessions = RedisSessions(
        process.store,
        Sealer(keys),
        lifetime_cap_s=settings.session.lifetime_s,
        cache=_cache(settings),
        bus=process.bus,
        revocations=revocations,
        on_grace=partial(process.shared.tally.add, "grace_uses"),
        idle_s=settings.session.idle_s,
    )
    sessions.on_end = process.tunnels.end_session
    return sessions


def _farewell(settings: Settings, process: Process) -> Callable[[str], object]:
    """Told who signs out."""
    if process.farewells is None or not settings.session.logout_magic:
        return lambda _issuer: None
    return process.farewells.say


def _cache(settings: Settings) -> SessionCache:
    """Nothing is remembered for so long that it could have ended because it was not used."""
    grace_s, idle_s = settings.session.grace_s, settings.session.idle_s
    if idle_s is None:
        return SessionCache(grace_s=grace_s)
    return SessionCache(min(FRESH_S, idle_s / STEPS), grace_s=min(grace_s, idle_s))


def _directory(settings: Settings, process: Process, keys: Sequence[bytes]) -> CachedDirectory:
    identity = settings.identity
    return CachedDirectory(
        process.magic.source,
        process.store,
        Seals(keys),
        Lifetimes(identity.metadata_ttl_s, identity.metadata_stale_s),
        changed=partial(process.bus.publish, Subject.USER),
    )


def _verifier(
    settings: Settings,
    process: Process,
    directory: CachedDirectory,
    server_key: bytes,
    revocations: Revocations,
) -> DidTokenVerifier:
    return DidTokenVerifier(
        process.magic.checker.check,
        directory,
        process.store,
        rules=Rules(
            process.magic.client_id,
            settings.identity.max_token_lifetime_s,
            settings.identity.clock_skew_s,
        ),
        server_key=server_key,
        on_early=partial(process.shared.tally.add, "tokens_early"),
        revocations=revocations,
    )


# --- the gateway's own pages -------------------------------------------------------------------


@asynccontextmanager
async def _pages(
    settings: Settings,
    sessions: Sessions,
    process: Process,
    directory: CachedDirectory,
    attempts: AttemptPages,
    revocations: Revocations,
    signing_keys: tuple[SigningKey, ...],
) -> AsyncIterator[PagesServer]:
    prefix, public_url = settings.server.prefix, settings.server.public_url
    cookie = _cookie(settings)
    farewell = _farewell(settings, process)
    own = SessionPages(sessions, cookie, attempts, public_url, time.time, revocations, farewell)
    routes = own.routes(prefix)
    routes += attempts.routes(prefix)
    routes += OwnSessionsPages(sessions, cookie, public_url, time.time).routes(prefix)
    if process.magic.development is not None:
        development = DevelopmentPages(
            process.magic.development, directory.learn, public_url, time.time
        )
        routes += development.routes(prefix)
    routes += LoginPages(settings, compiled.return_to(settings).only).routes(prefix)
    if signing_keys:
        routes += KeyPages(signing_keys).routes(prefix)
    server = PagesServer(make_app(routes))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await own.aclose()


def _attempts(
    settings: Settings, process: Process, limiter: RedisLimiter, keys: tuple[bytes, ...]
) -> AttemptPages:
    hasher = ContactHasher(keys)
    return AttemptPages(
        Attempts(process.store, hasher),
        hasher,
        limiter,
        compiled.login_limits(settings),
        settings.server,
        is_required=settings.session.require_attempt,
    )


def _cookie(settings: Settings) -> Cookie:
    is_https = settings.server.public_url.startswith("https:")
    return Cookie(settings.session.cookie, secure=is_https)


# --- the journey -------------------------------------------------------------------------------


def _authorisation(settings: Settings, process: Process, stack: AsyncExitStack) -> Authorisation:
    roles = None
    if settings.identity.roles_from_store:
        roles = StoredRoles(process.store)
        stack.push_async_callback(roles.aclose)
        stack.callback(process.bus.on(Subject.ROLES, roles.forget))
        stack.callback(process.bus.on_missed(roles.forget_all))
    return Authorisation(compiled.grants(settings), roles)


def _pipeline(
    settings: Settings,
    limiter: RedisLimiter,
    authentication: Authentication,
    authorisation: Authorisation,
    assertions: Assertions | None,
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
        authentication=authentication,
        authorisation=authorisation,
        fields=RequestFields(
            _identity_names(settings),
            settings.session.cookie,
            public_host,
            ForwardedAs(server.forwarded),
            ways.api_key_header(settings),
            more_names=(assertions.header,) if assertions is not None else (),
        ),
        public_origin=server.public_url,
        client_ip=ClientIp(server.client_ip),
        trusted_proxies=server.trusted_proxies,
        cookie=_cookie(settings),
        login=compiled.login_page(settings),
        assertions=assertions,
    )


def _identity_names(settings: Settings) -> IdentityNames:
    names = settings.identity.headers
    return IdentityNames(names.issuer, names.email, names.public_address, names.phone, names.roles)


# --- the data plane ----------------------------------------------------------------------------


def _site(settings: Settings, upstreams: dict[str, Upstream], pipeline: Pipeline) -> Site:
    return Site(
        pipeline.admit,
        upstreams,
        AnswerFields(settings.session.cookie),
        settings.server.max.body_bytes,
        settings.server.trusted_proxies,
    )


def _bounds(settings: Settings) -> Bounds:
    times, caps = settings.server.timeouts, settings.server.max
    return Bounds(
        head_s=times.head_s,
        body_idle_s=times.body_idle_s,
        keep_alive_s=times.keep_alive_s,
        half_closed_s=times.half_closed_s,
        min_bytes_per_s=times.min_rate_bytes,
        head_bytes=caps.head_bytes,
        fields=caps.fields,
        connections=caps.connections,
        connections_per_client=caps.connections_per_client,
        tunnels=caps.tunnels,
    )


def _sweep_s(settings: Settings) -> float:
    """A tenth of the shortest time-out: no deadline is met later than that."""
    times = settings.server.timeouts
    shortest = min(times.head_s, times.body_idle_s, times.keep_alive_s, times.half_closed_s)
    for upstream in settings.upstreams.values():
        shortest = min(shortest, upstream.timeouts.response_s, upstream.timeouts.idle_s)
    for route in settings.routes:
        named = route.timeouts
        shortest = min(shortest, named.response_s or shortest, named.idle_s or shortest)
    return min(_LONGEST_SWEEP_S, max(_SHORTEST_SWEEP_S, shortest / 10))
