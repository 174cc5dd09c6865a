"""
Compile one config to what serves it: the pipeline, the upstreams, the limits of connections.

A reload activates the new config, swaps its `ServingConfig` in between two requests, and closes the
old one when the last exchange on it is done. What outlives a config is in `ProcessServices`.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.assertion.cache import AssertionCache
from gateway.authn.authenticator import Authenticator
from gateway.authz.authoriser import Authoriser
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.core.event_ports import Events
from gateway.core.handling import Admit, RefusalsTold
from gateway.core.route import Route
from gateway.headers.forwarded import ForwardedFields
from gateway.headers.request import IdentityNames, RequestFields
from gateway.headers.response import ResponseFields
from gateway.hooks.courier import Courier
from gateway.pages.app import PagesServer
from gateway.pages.error_pages import ErrorPages
from gateway.pages.look import Look
from gateway.pages.routes import PAGES, page_routes
from gateway.pipeline.limits import RouteLimits
from gateway.pipeline.request import RequestPipeline
from gateway.pipeline.stages import Stages
from gateway.proxy.answer_costs import AnswerCosts
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.server import ServingConfig
from gateway.proxy.upstream.connect import to_unix
from gateway.proxy.upstream.upstream import Upstream
from gateway.ratelimit.lists import LimitLists
from gateway.revocation.revoke import Revoker
from gateway.routing.client_address import ClientIp
from gateway.routing.client_resolver import ClientResolver
from gateway.routing.resolver import RouteResolver
from gateway.routing.table import RouteTable
from gateway.runtime.process import ProcessServices
from gateway.runtime.services import limits
from gateway.runtime.services.assertion import assertions, signing_keys
from gateway.runtime.services.audit import audited_refusals
from gateway.runtime.services.authn import authenticator, credential_cookies, credential_headers
from gateway.runtime.services.authz import authoriser
from gateway.runtime.services.hooks import hook_services, told_refusals
from gateway.runtime.services.identity import IdentityServices, identity_services, issuers_by_email
from gateway.runtime.services.magic import on_sign_out
from gateway.runtime.services.pages import pages_server, session_cookie
from gateway.runtime.services.tracing import traced_stages
from gateway.runtime.services.upstreams import own_upstream, upstreams
from gateway.telemetry.tracing import TRACE_FIELDS, Traces

_LONGEST_SWEEP_S, _SHORTEST_SWEEP_S = 1.0, 0.02


class ActiveConfig(NamedTuple):
    """One config, ready to serve."""

    settings: Settings
    serving: ServingConfig
    limits: ConnectionLimits
    sweep_s: float
    """How often deadlines are looked at."""
    revoker: Revoker
    courier: Courier
    """Delivers events while this config serves."""
    lists: LimitLists
    """The deny and allow lists of limits, as they are now."""


@asynccontextmanager
async def activate(settings: Settings, process: ProcessServices) -> AsyncIterator[ActiveConfig]:
    """Build all that follows from ``settings``; what was opened is closed with the context."""
    async with AsyncExitStack() as stack:
        process.magic.skew.tolerated_s = settings.identity.clock_skew_s
        hooks = await stack.enter_async_context(hook_services(settings, process))
        identity = identity_services(settings, process, stack, hooks.recorder, hooks.recorder)
        limiter = limits.limiter(settings, process, stack)
        lists = await limits.limit_lists(settings, process, stack)
        keys = signing_keys(settings, process.made_up_key)
        error_pages = await asyncio.to_thread(_error_pages, settings)
        stack.callback(error_pages.look.close)
        pages = await stack.enter_async_context(
            pages_server(settings, process, identity, limiter, lists, keys, hooks, error_pages)
        )
        table = await asyncio.to_thread(_route_table, settings)  # 10 000 routes take 0.1 s and more
        stage = authoriser(settings, process, stack)
        _tell_standing(identity, stage)
        stages = stages_of(
            settings,
            table,
            RouteLimits(
                limiter,
                limits.leases(settings, process),
                settings.server.rate_limit_headers == "always",
                lists,
            ),
            authenticator(settings, process, identity, limiter, stack, lists=lists),
            stage,
            assertions(settings, keys),
            process.traces,
        )
        traces = process.traces
        pipeline = RequestPipeline(stages if traces is None else traced_stages(stages, traces))
        reached = _started(settings, process, pages, stack)
        costs = AnswerCosts(limiter)
        stack.push_async_callback(costs.aclose)
        told = told_refusals(settings, hooks.recorder)
        told = audited_refusals(settings, process.trail, told)
        serving = _serving_config(settings, reached, pipeline, process, costs, told)
        serving = replace(serving, to_page=error_pages.of_request)
        process.wire.deadlines.watch(serving.answer_fields)
        stack.callback(process.wire.deadlines.forget, serving.answer_fields)
        yield ActiveConfig(
            settings,
            serving,
            connection_limits(settings),
            _sweep_s(settings),
            _revoker(settings, process, identity, hooks.recorder),
            hooks.courier,
            lists,
        )


def _revoker(
    settings: Settings, process: ProcessServices, identity: IdentityServices, events: Events
) -> Revoker:
    return Revoker(
        identity.revocations,
        identity.sessions,
        on_sign_out(settings, process),
        compiled.accepted_names(settings),
        issuers_by_email(process.store, process.magic.source).find,
        events,
    )


def _tell_standing(identity: IdentityServices, stage: Authoriser) -> None:
    """Have the directory write what users may do, for apps to read."""
    identity.directory.standing = stage.standing
    if stage.store is not None:
        identity.directory.prepare_standing = stage.store.prepare


def _error_pages(settings: Settings) -> ErrorPages:
    """
    Make the pages of refusals, by a thread of its own.

    Templates of an operator are rendered in all their forms, which takes 0.1 s and more, and leaves
    cycles where they have macros: these must not be frozen with the config.
    """
    pages = ErrorPages(Look(settings))
    if pages.look.has_own_templates:
        gc.collect()
    return pages


def _started(
    settings: Settings, process: ProcessServices, pages: PagesServer, stack: AsyncExitStack
) -> dict[str, Upstream]:
    """Start the upstreams, the gateway's own pages among them; ``stack`` closes them."""
    reached = upstreams(settings, process.wire)
    reached[PAGES] = own_upstream(PAGES, pages.connect, process.wire)
    if process.dashboard_socket is not None:
        connect = to_unix(process.wire.loop, process.dashboard_socket)
        reached[compiled.DASHBOARD] = own_upstream(compiled.DASHBOARD, connect, process.wire)
    for upstream in reached.values():
        upstream.start()
        stack.push_async_callback(upstream.aclose)
    return reached


# --- the pipeline ------------------------------------------------------------------------------


def _route_table(settings: Settings) -> RouteTable:
    return RouteTable(compiled.routes(settings), own_pages=own_pages(settings))


def own_pages(settings: Settings) -> tuple[Route, ...]:
    """Compile the routes of the gateway's own pages, which go before those of the file."""
    default = settings.limits.get("default")
    has_rate = default is not None and default.concurrent is None
    page_limits = (compiled.limit("default", default),) if default and has_rate else ()
    return page_routes(settings.server.prefix, *compiled.by_stage(page_limits))


def stages_of(
    settings: Settings,
    table: RouteTable,
    route_limits: RouteLimits,
    authenticator: Authenticator,
    authoriser: Authoriser,
    assertion_cache: AssertionCache | None,
    traces: Traces | None = None,
) -> Stages:
    """Put the stages of requests together; explanations do it by this, too."""
    server = settings.server
    public_host = urlsplit(server.public_url).netloc
    return Stages(
        clients=ClientResolver(
            ClientIp(server.client_ip), server.trusted_proxies, server.public_url
        ),
        resolver=RouteResolver(table, public_host),
        limits=route_limits,
        authenticator=authenticator,
        authoriser=authoriser,
        fields=RequestFields(
            _identity_names(settings),
            settings.session.cookie,
            public_host,
            ForwardedFields(server.forwarded),
            credential_headers(settings),
            more_names=(assertion_cache.header,) if assertion_cache is not None else (),
            credential_cookies=credential_cookies(settings),
            writes_via=server.via,
            max_identities=settings.identity.cache,
            replaced_names=TRACE_FIELDS if traces is not None else (),
        ),
        cookie=session_cookie(settings),
        login=compiled.login_page(settings),
        assertions=assertion_cache,
    )


def _admit(pipeline: RequestPipeline, process: ProcessServices) -> Admit:
    """Return what decides about requests, with the candidate config and the traces around it."""
    admit: Admit = pipeline.admit
    if process.shadow is not None:
        admit = process.shadow.observe(admit)
    if process.traces is not None:
        admit = process.traces.admit(admit, pipeline.stages.clients.is_trusted)
    return admit


def _identity_names(settings: Settings) -> IdentityNames:
    names = settings.identity.headers
    return IdentityNames(
        names.issuer,
        names.email,
        names.public_address,
        names.phone,
        names.roles,
        names.permissions,
    )


# --- the proxy server --------------------------------------------------------------------------


def _serving_config(
    settings: Settings,
    upstreams: dict[str, Upstream],
    pipeline: RequestPipeline,
    process: ProcessServices,
    costs: AnswerCosts,
    told: RefusalsTold,
) -> ServingConfig:
    clients = pipeline.stages.clients
    return ServingConfig(
        _admit(pipeline, process),
        upstreams,
        ResponseFields(settings.session.cookie),
        settings.server.max.body_bytes,
        settings.server.trusted_proxies,
        costs,
        clients.with_sent_id if clients.takes_ids else None,
        told,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return what a client's connection may take."""
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
    """Return a tenth of the shortest time-out: no deadline is noticed later than that."""
    times = settings.server.timeouts
    shortest = min(times.head_s, times.body_idle_s, times.keep_alive_s, times.half_closed_s)
    for upstream in settings.upstreams.values():
        shortest = min(shortest, upstream.timeouts.response_s, upstream.timeouts.idle_s)
    for route in settings.routes:
        named = route.timeouts
        shortest = min(shortest, named.response_s or shortest, named.idle_s or shortest)
    return min(_LONGEST_SWEEP_S, max(_SHORTEST_SWEEP_S, shortest / 10))
