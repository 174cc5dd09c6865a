"""
The journey of a request, from its head to what goes upstream. Start reading here.

    client → route → limit → authenticate → authorise → headers

Each stage is handed what the earlier ones returned, so a wrong order does not type-check. A stage
says no by raising a `Refusal`. Only the head is looked at; bodies are streamed afterwards.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

from gateway.access import refuse_cross_site
from gateway.client_ip import ClientIp, caller, client_address, is_trusted
from gateway.errors import (
    BadHost,
    BadTarget,
    RateLimited,
    SessionEnded,
    Unauthenticated,
    UnsupportedMethod,
)
from gateway.identity.credentials import DidToken, SessionCookie, credential
from gateway.messages import (
    Auth,
    Caller,
    Identity,
    IPNetwork,
    Journey,
    Outbound,
    RequestHead,
    Route,
    Target,
)
from gateway.ports import Limiter, Sessions, TokenVerifier
from gateway.proxy.headers import RequestFields
from gateway.routing import RouteTable
from gateway.target import canonical_target, other_readings, parse_authority, split_absolute

Admit = Callable[[RequestHead, Journey], Awaitable[Outbound]]

_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})  # tunnels past us; echoes credentials back


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Decides about requests; holds no state of its own."""

    routes: RouteTable
    limiter: Limiter
    tokens: TokenVerifier
    sessions: Sessions
    fields: RequestFields
    cookie_name: str
    public_origin: str
    client_ip: ClientIp
    trusted_proxies: tuple[IPNetwork, ...]

    async def admit(self, head: RequestHead, journey: Journey) -> Outbound:
        """
        What to send upstream for ``head``.

        Raises the `Refusal` of the first stage that says no. ``journey`` is filled in on the way,
        for the access log.
        """
        host, target = _where_to(head)
        journey.host, journey.path = host, target.path
        client = self._client(head)
        journey.client = client.text
        route = self._route(host, target, head.method)
        journey.route = route.name
        await self._spend(route, client)
        identity = await self._authenticate(head, route)
        if identity is not None:
            journey.issuer, journey.auth_method = identity.user.issuer, identity.method
            refuse_cross_site(head.method, head.headers, identity, self.public_origin)
        fields = self.fields.rewrite(head, route, client, self._scheme(head), identity)
        return Outbound(route, head.method, target, fields, identity)

    def _client(self, head: RequestHead) -> Caller:
        if self.client_ip is ClientIp.PEER:
            return head.peer
        forwarded_for = head.headers.getall("X-Forwarded-For", ())
        return caller(client_address(head.peer.address, forwarded_for, self.trusted_proxies))

    def _scheme(self, head: RequestHead) -> str:
        """``https`` only where a proxy of ours in front says so; we listen in the clear."""
        if self.trusted_proxies and is_trusted(head.peer.address, self.trusted_proxies):
            said = head.headers.getall("X-Forwarded-Proto", ())
            return "https" if said == ["https"] else "http"
        return "http"

    def _route(self, host: str, target: Target, method: str) -> Route:
        route = self.routes.match(host, target.path, method)
        if target.has_encoded_slash and not route.keep_encoded_slashes:
            raise BadTarget("encoded slash")
        for reading in other_readings(target.path):
            if self.routes.match(host, reading, method) is not route:
                raise BadTarget("another reading of the path leads to another route")
        return route

    async def _spend(self, route: Route, client: Caller) -> None:
        """Before anything expensive: guessing must cost the guesser, not us."""
        for limit in route.limits:
            state = await self.limiter.spend(limit, client.limit_key)
            if not state.allowed:
                raise RateLimited(state)

    async def _authenticate(self, head: RequestHead, route: Route) -> Identity | None:
        if route.auth is Auth.NONE:
            return None
        match credential(head.headers, self.cookie_name):
            case None:
                if route.auth is Auth.REQUIRED:
                    raise Unauthenticated("no credential")
                return None
            case DidToken(text=token):
                return await self.tokens.verify(token)
            case SessionCookie(value=cookie):
                return await self._session(cookie, route)
            case never:
                assert_never(never)

    async def _session(self, cookie: str, route: Route) -> Identity | None:
        """A browser keeps sending a dead cookie: where signing in is optional, it means nobody."""
        try:
            return await self.sessions.find(cookie)
        except SessionEnded:
            if route.auth is Auth.REQUIRED:
                raise
            return None


def _where_to(head: RequestHead) -> tuple[str, Target]:
    """The host as routes know it (empty where HTTP/1.0 named none), and the canonical target."""
    if head.method in _REFUSED_METHODS:
        raise UnsupportedMethod(head.method)
    authority, origin_form = split_absolute(head.target)
    named = head.headers.get("Host")
    host = parse_authority(named) if named else None
    if host is None and head.version >= (1, 1):
        raise BadHost("empty Host")
    if authority is not None and authority != host:
        raise BadHost("the target's authority differs from Host")
    return host.host if host else "", canonical_target(origin_form)
