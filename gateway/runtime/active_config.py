"""
What a config is compiled to, and the adapters that belong to it.

A reload opens a new generation, swaps its site in between two requests, and closes the old one when
the last exchange on it is done. What outlives a config is in `ProcessServices`.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.assertion.cache import AssertionCache
from gateway.authn.authenticator import Authenticator
from gateway.authz.authoriser import Authoriser
from gateway.authz.role_store import RedisRoleStore
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.core.invalidation import InvalidationKind
from gateway.headers.forwarded import ForwardedFields
from gateway.headers.request import IdentityNames, RequestFields
from gateway.headers.response import ResponseFields
from gateway.pages.routes import PAGES, page_routes
from gateway.pipeline.request import RequestPipeline
from gateway.pipeline.stages import Stages
from gateway.proxy.downstream.server import ConnectionLimits, ServingConfig
from gateway.proxy.upstream.upstream import Upstream
from gateway.ratelimit.redis import RedisLimiter
from gateway.revocation.revoke import Revoker
from gateway.routing.client_address import ClientIp
from gateway.routing.client_resolver import ClientResolver
from gateway.routing.resolver import RouteResolver
from gateway.routing.table import RouteTable
from gateway.runtime.process import ProcessServices
from gateway.runtime.services import assertion as signing
from gateway.runtime.services import authn as ways
from gateway.runtime.services import pages as own_pages
from gateway.runtime.services import upstreams as wiring
from gateway.runtime.services.identity import farewell, identity_services

_LONGEST_SWEEP_S, _SHORTEST_SWEEP_S = 1.0, 0.02


class ActiveConfig(NamedTuple):
    """One config, ready to serve."""

    settings: Settings
    serving: ServingConfig
    limits: ConnectionLimits
    sweep_s: float
    """How often deadlines are looked at."""
    revoker: Revoker


@asynccontextmanager
async def activate(settings: Settings, process: ProcessServices) -> AsyncIterator[ActiveConfig]:
    """A generation; what it opened is closed at the end of the context."""
    async with AsyncExitStack() as stack:
        process.magic.skew.tolerated_s = settings.identity.clock_skew_s
        known = identity_services(settings, process, stack)
        limiter = RedisLimiter(process.store, process.local)
        stack.push_async_callback(limiter.aclose)
        signing_keys = signing.signing_keys(settings, process.made_up_key)
        pages = await stack.enter_async_context(
            own_pages.serving(settings, process, known, limiter, signing_keys)
        )
        upstreams = wiring.upstreams(settings, process.shared)
        upstreams[PAGES] = wiring.pages(PAGES, pages.connect, process.shared)
        for upstream in upstreams.values():
            upstream.start()
            stack.push_async_callback(upstream.aclose)
        pipeline = _pipeline(
            settings,
            limiter,
            ways.authentication(settings, process, known, limiter, stack),
            _authorisation(settings, process, stack),
            signing.assertions(settings, signing_keys),
        )
        serving = _serving_config(settings, upstreams, pipeline)
        revoker = Revoker(known.revocations, known.sessions, farewell(settings, process))
        yield ActiveConfig(
            settings, serving, _connection_limits(settings), _sweep_s(settings), revoker
        )


# --- the journey -------------------------------------------------------------------------------


def _authorisation(
    settings: Settings, process: ProcessServices, stack: AsyncExitStack
) -> Authoriser:
    roles = None
    if settings.identity.roles_from_store:
        roles = RedisRoleStore(process.store)
        stack.push_async_callback(roles.aclose)
        stack.callback(process.bus.on(InvalidationKind.ROLES, roles.forget))
        stack.callback(process.bus.on_missed(roles.forget_all))
    return Authoriser(compiled.grants(settings), roles)


def _pipeline(
    settings: Settings,
    limiter: RedisLimiter,
    authenticator: Authenticator,
    authoriser: Authoriser,
    assertions: AssertionCache | None,
) -> RequestPipeline:
    routes = compiled.routes(settings)
    default = settings.limits.get("default")
    page_limits = (compiled.limit("default", default),) if default is not None else ()
    server = settings.server
    public_host = urlsplit(server.public_url).netloc
    table = RouteTable([*page_routes(server.prefix, page_limits), *routes])
    stages = Stages(
        clients=ClientResolver(
            ClientIp(server.client_ip), server.trusted_proxies, server.public_url
        ),
        resolver=RouteResolver(table, public_host),
        limiter=limiter,
        authenticator=authenticator,
        authoriser=authoriser,
        fields=RequestFields(
            _identity_names(settings),
            settings.session.cookie,
            public_host,
            ForwardedFields(server.forwarded),
            ways.api_key_header(settings),
            more_names=(assertions.header,) if assertions is not None else (),
        ),
        cookie=own_pages.session_cookie(settings),
        login=compiled.login_page(settings),
        assertions=assertions,
    )
    return RequestPipeline(stages)


def _identity_names(settings: Settings) -> IdentityNames:
    names = settings.identity.headers
    return IdentityNames(names.issuer, names.email, names.public_address, names.phone, names.roles)


# --- the data plane ----------------------------------------------------------------------------


def _serving_config(
    settings: Settings, upstreams: dict[str, Upstream], pipeline: RequestPipeline
) -> ServingConfig:
    return ServingConfig(
        pipeline.admit,
        upstreams,
        ResponseFields(settings.session.cookie),
        settings.server.max.body_bytes,
        settings.server.trusted_proxies,
    )


def _connection_limits(settings: Settings) -> ConnectionLimits:
    times, caps = settings.server.timeouts, settings.server.max
    return ConnectionLimits(
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
