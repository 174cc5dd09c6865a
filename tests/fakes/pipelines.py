"""Pipelines over recording ports, for the tests of the three journeys."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import NamedTuple

from gateway.authn.authenticator import Authenticator
from gateway.authn.credentials import CredentialReader
from gateway.authn.failure_limit import FailureLimit
from gateway.authz.authoriser import Authoriser
from gateway.core.errors import (
    MagicUnavailable,
    Refusal,
    StoreUnavailable,
)
from gateway.core.identity import AuthMethod, Identity
from gateway.core.limit import Limit
from gateway.core.ports import RoleStore
from gateway.core.record import RequestRecord
from gateway.core.request import (
    Outbound,
    Reply,
    RequestHead,
)
from gateway.core.route import (
    Auth,
    Grant,
    Route,
)
from gateway.headers.request import IdentityNames, RequestFields
from gateway.pages.routes import page_routes
from gateway.pipeline.limits import RouteLimits
from gateway.pipeline.request import RequestPipeline
from gateway.pipeline.stages import Stages
from gateway.routing.client_address import ClientIp
from gateway.routing.client_resolver import ClientResolver
from gateway.routing.resolver import RouteResolver
from gateway.routing.table import RouteTable
from gateway.sessions.cookie import Cookie
from tests.fakes.heads import request_head
from tests.fakes.ports import (
    SESSION_IDENTITY,
    TOKEN_IDENTITY,
    Diary,
    KnownSessions,
    KnownTokens,
    RecordingLeases,
    RecordingLimiter,
)

COOKIE = "__Host-session"
HOST = "app.example.com"
CLIENT = "203.0.113.9"
PROXY = "10.0.0.1"
OURS = (ip_network("10.0.0.0/8"),)

FIRST, SECOND = Limit("first", 300, 60), Limit("second", 50, 10)
PRIVATE = Route("private", "/*", "app", limits=(FIRST,))
OPTIONAL = Route("optional", "/optional/*", "app", auth=Auth.OPTIONAL)
PUBLIC = Route("public", "/public/*", "app", auth=Auth.NONE)
KEEPING = Route("keeping", "/keep/*", "app", auth=Auth.NONE, keep_encoded_slashes=True)

WITH_SOCKETS = replace(PRIVATE, upgrades=frozenset({"websocket"}))
PAGES = tuple(page_routes("/_gateway", ()))

BEARER = ("Authorization", "Bearer good")
SESSION = ("Cookie", f"{COOKIE}=good")

TOKENS: Mapping[str, Identity | Refusal] = {
    "good": TOKEN_IDENTITY,
    "magic": MagicUnavailable("slow"),
    "store": StoreUnavailable("slow"),
}
SESSIONS: Mapping[str, Identity | Refusal] = {
    "good": SESSION_IDENTITY,
    "store": StoreUnavailable("slow"),
}


class PipelineUnderTest(NamedTuple):
    """A pipeline, and a diary of what the ports behind it were asked."""

    pipeline: RequestPipeline
    diary: Diary


def pipeline_for(
    *routes: Route,
    used_up: str = "",
    waits: str = "",
    client_ip: ClientIp = ClientIp.PEER,
    trusts_proxies: bool = False,
    tells_limits: bool = False,
    grants: tuple[Grant, ...] = (),
    roles: RoleStore | None = None,
) -> PipelineUnderTest:
    """
    Build a pipeline for ``routes``.

    A limit called ``used_up`` has nothing left; one called ``waits`` is charged after a wait.
    """
    diary: Diary = []
    stages = Stages(
        clients=ClientResolver(client_ip, OURS if trusts_proxies else (), f"https://{HOST}"),
        resolver=RouteResolver(RouteTable(routes or (PRIVATE, OPTIONAL, PUBLIC, KEEPING)), HOST),
        limits=RouteLimits(
            RecordingLimiter(diary, {used_up}, {waits}),
            RecordingLeases(diary, {used_up}),
            tells_always=tells_limits,
        ),
        authenticator=Authenticator(
            CredentialReader(COOKIE),
            KnownSessions(diary, SESSIONS),
            {AuthMethod.DID_TOKEN: KnownTokens(diary, TOKENS)},
            FailureLimit(RecordingLimiter(diary), lambda: 1_800_000_000.0),
        ),
        authoriser=Authoriser(grants, roles),
        fields=RequestFields(IdentityNames(), COOKIE, HOST),
        cookie=Cookie("__Secure-session", secure=True),
    )
    return PipelineUnderTest(RequestPipeline(stages), diary)


async def admitted(head: RequestHead, pipeline: RequestPipeline | None = None) -> Outbound:
    """Return what goes upstream for ``head``."""
    return only_outbound(await (pipeline or pipeline_for().pipeline).admit(head, RequestRecord()))


def only_outbound(admitted: Outbound | Reply) -> Outbound:
    """Narrow the type, where no answer of the gateway's own is expected."""
    assert isinstance(admitted, Outbound)
    return admitted


async def outcome(head: RequestHead, pipeline: RequestPipeline | None = None) -> str:
    """Return the name of the refusal, the method of authentication, or ``anonymous``."""
    try:
        outbound = await admitted(head, pipeline)
    except Refusal as refusal:
        return type(refusal).__name__
    return str(outbound.identity.method) if outbound.identity else "anonymous"


def sent_fields(outbound: Outbound, name: str) -> list[str]:
    """Return what the app reads under ``name``."""
    lines = outbound.fields.decode("latin-1").split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.startswith(f"{name}: ")]


ASKED_ABOUT = replace(PRIVATE, name="asked-about", path="/asked/*", upstream="")
ABOUT = {"method": "GET", "uri": "/private?x", "host": HOST}


def check(*fields: tuple[str, str], peer: str = PROXY, **about: str) -> RequestHead:
    """Build the check that nginx sends; ``about`` describes the request."""
    said = {**ABOUT, **about}
    return request_head(
        ("X-Original-Method", said["method"]),
        ("X-Original-URI", said["uri"]),
        ("X-Original-Host", said["host"]),
        *fields,
        target="/_gateway/verify",
        host="gateway.internal",
        peer=peer,
    )
