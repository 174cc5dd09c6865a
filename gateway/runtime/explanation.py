"""
Puts an explanation together: the stages of a config, over a store that is only read.

A running gateway explains by what it serves by; the command line builds the same of its config.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields
from functools import partial
from typing import Final, NamedTuple

from gateway.assertion.cache import AssertionCache
from gateway.authn.credentials import AmbientSource
from gateway.authn.failure_limit import DEFAULT_LIMIT
from gateway.authz.authoriser import Authoriser
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.core.ports import TokenVerifier
from gateway.core.request import Client, Outbound
from gateway.core.route import Route
from gateway.explain.credentials import (
    CredentialVerdicts,
    TracedAuthenticator,
    TracedSessions,
    TracedVerifier,
    note_block,
)
from gateway.explain.explainer import ExplainedRequest, explain
from gateway.explain.head import read_head
from gateway.explain.hops import HopRecorder
from gateway.explain.peek import COUNTS, PeekingLeases, PeekingLimiter
from gateway.explain.question import Question, head_bytes
from gateway.explain.read_only import READS, ReadOnlyStore
from gateway.explain.stages import (
    ChargeRecorder,
    RecordingLeases,
    RecordingLimiter,
    TracedAuthoriser,
    TracedLimits,
    TracedStages,
)
from gateway.explain.trace import Explanation, Trace
from gateway.pages.routes import PAGES
from gateway.pipeline.stages import Stages
from gateway.proxy.upstream.upstream import Upstream
from gateway.ratelimit.lists import LimitLists
from gateway.ratelimit.shadow import ShadowLeases
from gateway.routing.client_address import UNIX, UNIX_PEER, client_at, parse_address
from gateway.routing.client_resolver import ClientResolver
from gateway.routing.table import RouteTable
from gateway.runtime.active_config import connection_limits, own_pages, stages_of
from gateway.runtime.assumed_identity import find_assumed
from gateway.runtime.process import ProcessServices
from gateway.runtime.quiet import ignore_excess, quiet_limiter, quiet_services
from gateway.runtime.services import limits
from gateway.runtime.services.assertion import assertions, signing_keys
from gateway.runtime.services.authn import (
    authenticator,
    credential_headers,
    failure_limit,
)
from gateway.runtime.services.authz import authoriser
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind
from gateway.runtime.services.credentials.registry import CREDENTIAL_KINDS
from gateway.runtime.services.identity import IdentityServices, identity_services

_FRAGMENT: Final = "browsers do not send the part of a URL that begins with #: leave it out"


class _Parts(NamedTuple):
    """What an explanation is made of, beside the config."""

    process: ProcessServices
    store: ReadOnlyStore
    trace: Trace
    verdicts: CredentialVerdicts
    stack: AsyncExitStack


async def explanation(
    settings: Settings,
    process: ProcessServices,
    reached: Mapping[str, Upstream],
    question: Question,
    lists: LimitLists | None = None,
) -> Explanation:
    """
    Explain a request by ``settings``; ``reached`` are the upstreams.

    ``lists`` are those of the gateway that serves; without them they are read anew. Nothing is
    written and nothing is charged. Raises `ValueError` for a question that is none, `Unavailable`
    where the caller that it names cannot be looked up, and `StartError` for a list that cannot be
    read.
    """
    data = head_bytes(question, settings.server.public_url)
    peer = _peer(question, settings)
    store = ReadOnlyStore(process.store, READS | COUNTS)
    async with AsyncExitStack() as stack:
        parts = _Parts(quiet_services(process, store), store, Trace(), CredentialVerdicts(), stack)
        identity = identity_services(settings, parts.process, stack)
        notes: tuple[str, ...] = ()
        if question.name:
            assumed = await find_assumed(settings, parts.process, identity, question.name)
            parts.verdicts.assumed, notes = assumed
        stages = await _traced_stages(settings, parts, identity, lists)
        store.forget_failure()  # of what the request itself does not need
        explained = ExplainedRequest(
            parts.trace, stages, partial(_preview, reached), _hidden(settings, stages.assertions)
        )
        max_body_bytes = settings.server.max.body_bytes
        found = await explain(
            partial(read_head, data, peer, connection_limits(settings), max_body_bytes),
            explained,
            {"method": question.method, "url": question.url, "peer": peer.text},
        )
    unreached = found.unreached or (store.failure.reason if store.failure else "")
    if "#" in question.url:
        notes = (*notes, _FRAGMENT)
    return found._replace(notes=(*notes, *_notes(settings, found)), unreached=unreached)


def _peer(question: Question, settings: Settings) -> Client:
    """Return the other end of the socket. Raises `ValueError`."""
    try:
        address = UNIX_PEER if question.peer == UNIX else parse_address(question.peer)
    except ValueError:
        raise ValueError(f"the peer: expected an IP address, or {UNIX}") from None
    scheme = question.place(settings.server.public_url).scheme
    speaks_tls = scheme == "https" and settings.server.tls is not None
    return client_at(address)._replace(scheme=scheme if speaks_tls else "")


# --- the stages --------------------------------------------------------------------------------


async def _traced_stages(
    settings: Settings, parts: _Parts, identity: IdentityServices, lists: LimitLists | None
) -> TracedStages:
    pages, routes, table = await asyncio.to_thread(_routes, settings)
    keys = signing_keys(settings, parts.process.made_up_key)
    charges = ChargeRecorder()
    peeking = PeekingLimiter(parts.store)
    limiter = quiet_limiter(settings, peeking, parts.store, parts.stack)
    if lists is None:
        lists = await limits.limit_lists(settings, parts.process, parts.stack)
    route_limits = TracedLimits(
        RecordingLimiter(limiter, charges),
        RecordingLeases(ShadowLeases(PeekingLeases(parts.store), ignore_excess), charges),
        settings.server.rate_limit_headers == "always",
        lists,
        parts.trace,
        charges,
    )
    failures = failure_limit(settings, limiter, lists)
    real = authenticator(
        settings,
        parts.process,
        identity,
        limiter,
        parts.stack,
        [_traced_kind(kind, parts.verdicts) for kind in CREDENTIAL_KINDS],
        lists,
        TracedSessions(identity.sessions, parts.verdicts),
        failures,
    )
    stages = stages_of(
        settings,
        table,
        route_limits,
        TracedAuthenticator(real, parts.trace, parts.verdicts, partial(note_block, failures)),
        _traced_authoriser(authoriser(settings, parts.process, parts.stack), parts.trace),
        assertions(settings, keys),
        parts.process.traces,
    )
    return _traced(stages, settings, parts, (*pages, *routes))


def _routes(settings: Settings) -> tuple[tuple[Route, ...], tuple[Route, ...], RouteTable]:
    """Compile the routes, in a thread: 10 000 of them take 0.1 s and more."""
    pages, routes = own_pages(settings), compiled.routes(settings)
    return pages, routes, RouteTable(routes, own_pages=pages)


def _traced(
    stages: Stages, settings: Settings, parts: _Parts, routes: Sequence[Route]
) -> TracedStages:
    """Return ``stages`` with a recorder, also of the hops that trusted proxies have told."""
    hops = HopRecorder(settings.server.trusted_proxies)
    known = {each.name: getattr(stages, each.name) for each in fields(Stages)}
    clients = stages.clients
    if settings.server.trusted_proxies:  # otherwise there is no walk to tell of
        known["clients"] = ClientResolver(clients.client_ip, (hops,), clients.public_origin)  # type: ignore[arg-type] # asked as a network is
    return TracedStages(
        **known,
        trace=parts.trace,
        hops=hops,
        routes=tuple(routes),
        is_assumed=parts.verdicts.assumed is not None,
    )


def _traced_kind(kind: CredentialKind, verdicts: CredentialVerdicts) -> CredentialKind:
    """Return a kind whose verifiers take down what they say."""

    def verifier(context: AuthnContext) -> TracedVerifier | None:
        built = kind.verifier(context)
        return None if built is None else TracedVerifier(built, verdicts)

    def ambient(context: AuthnContext) -> Mapping[AmbientSource, TokenVerifier]:
        built = kind.ambient(context)
        return {source: TracedVerifier(found, verdicts) for source, found in built.items()}

    return kind._replace(verifier=verifier, ambient=ambient)


def _traced_authoriser(built: Authoriser, trace: Trace) -> TracedAuthoriser:
    return TracedAuthoriser(built.grants, built.store, built.permitted, trace=trace)


def _hidden(settings: Settings, signed: AssertionCache | None) -> frozenset[str]:
    """Name the fields, in lower case, that hold credentials."""
    names = [*credential_headers(settings)]
    if signed is not None:
        names.append(signed.header)
    return frozenset(name.lower() for name in names)


def _preview(reached: Mapping[str, Upstream], outbound: Outbound, trace: Trace) -> None:
    """Note the upstream and the server of an admitted request. Raises what the upstream would."""
    name = outbound.route.upstream
    with trace.stage("upstream") as details:
        details |= {"upstream": name, "method": outbound.method, "target": outbound.target.wire}
        upstream = reached.get(name)
        if upstream is None or name == PAGES:
            return
        preview = upstream.preview(outbound)
        details |= {"server": preview.server, "servers": preview.servers}
        if preview.refusal is not None:
            raise preview.refusal


def _notes(settings: Settings, found: Explanation) -> list[str]:
    """Say what an explanation cannot know."""
    looked_at = {
        entry["limit"] for stage in found.stages for entry in stage.details.get("limits", ())
    }
    approximate = sorted(
        name for name, entry in settings.limits.items() if entry.approximate and name in looked_at
    )
    notes = [
        f"limit {name} is approximate: gateways may have counted more than they have told"
        for name in approximate
    ]
    if found.reason == f"limit {DEFAULT_LIMIT.name}":
        notes.append("a credential that a gateway has verified a moment ago still passes")
    return notes
