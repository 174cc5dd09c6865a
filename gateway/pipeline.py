"""
The journey of a request, from its head to what goes upstream. Start reading here.

    client → destination → limit → authenticate → authorise → headers

Each stage is handed what the earlier ones returned, so a wrong order does not type-check. A stage
says no by raising a `Refusal`. Only the head is looked at; bodies are streamed afterwards.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

from gateway.access import refuse_cross_site
from gateway.client_ip import ClientIp, caller, client_address, is_trusted
from gateway.destination import Destinations
from gateway.errors import RateLimited, SessionEnded, Unauthenticated
from gateway.identity.credentials import DidToken, SessionCookie, remembered_credential
from gateway.messages import (
    Auth,
    Caller,
    Identity,
    IPNetwork,
    Journey,
    Outbound,
    RequestHead,
    Route,
)
from gateway.ports import Limiter, Sessions, TokenVerifier
from gateway.proxy.headers import RequestFields

Admit = Callable[[RequestHead, Journey], Awaitable[Outbound]]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Decides about requests; holds no state of its own."""

    destinations: Destinations
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
        client = self._client(head)
        journey.client = client.text
        host, target, route = self.destinations.find(head)
        journey.host, journey.path, journey.route = host, target.path, route.name
        await self._spend(route, client)
        identity = await self._authenticate(head, route)
        if identity is not None:
            journey.issuer, journey.auth_method = identity.user.issuer, identity.method
            refuse_cross_site(head.method, head.headers, identity, self.public_origin)
        fields = self.fields.rewrite(head, route, client, self._scheme(head), identity)
        return Outbound(route, head.method, target, fields, identity, client)

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

    async def _spend(self, route: Route, client: Caller) -> None:
        """Before anything expensive: guessing must cost the guesser, not us."""
        for limit in route.limits:
            state = await self.limiter.spend(limit, client.limit_key)
            if not state.allowed:
                raise RateLimited(state)

    async def _authenticate(self, head: RequestHead, route: Route) -> Identity | None:
        if route.auth is Auth.NONE:
            return None
        try:
            match remembered_credential(head, self.cookie_name):
                case None:
                    pass
                case DidToken(text=token):
                    return await self.tokens.verify(token)
                case SessionCookie(value=cookie):
                    return await self.sessions.find(cookie)
                case never:
                    assert_never(never)
        except SessionEnded:
            # A browser keeps sending a dead cookie: where signing in is optional, it means nobody.
            if route.auth is Auth.REQUIRED:
                raise
            return None
        if route.auth is Auth.REQUIRED:
            raise Unauthenticated("no credential")
        return None
