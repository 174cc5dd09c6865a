"""
The journey of a request, from its head to what goes upstream. Start reading here.

    client → destination → limit → authenticate → authorise → headers

Each stage is handed what the earlier ones returned, so a wrong order does not type-check. A stage
says no by raising a `Refusal`. Only the head is looked at; bodies are streamed afterwards.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from gateway.assertion.cache import AssertionCache
from gateway.authn.authenticator import Authenticator
from gateway.authn.login_redirect import LoginPage
from gateway.authz.authoriser import Authoriser
from gateway.authz.cors import (
    answer_fields,
    asked_method,
    preflight_answer,
    replaces_cors,
)
from gateway.authz.csrf import refuse_cross_site, refuse_foreign_upgrade
from gateway.authz.rules import enforce_preflight
from gateway.core.address import IPNetwork
from gateway.core.errors import (
    AmbiguousCredentials,
    NoRoute,
    RateLimited,
    Refusal,
    SignInByProxy,
    SignInFirst,
    UnsupportedMethod,
    UnsupportedUpgrade,
    UntrustedPeer,
)
from gateway.core.identity import Identity
from gateway.core.ports import Limiter
from gateway.core.record import RequestRecord
from gateway.core.request import (
    Client,
    Outbound,
    Reply,
    RequestHead,
)
from gateway.core.route import Auth, Route
from gateway.headers.fields import serialise
from gateway.headers.request import RequestFields
from gateway.pipeline.checked_request import allowed_reply, checked_request, takes_redirect
from gateway.routing.client_address import (
    ClientIp,
    ForwardedClient,
    client_address,
    client_at,
    forwarded_client,
    forwarded_scheme,
    is_trusted,
)
from gateway.routing.resolver import ResolvedRoute, RouteResolver
from gateway.sessions.cookie import Cookie

_NONE_LISTED: frozenset[str] = frozenset()
_SAID_IN = {ClientIp.X_FORWARDED_FOR: "X-Forwarded-For", ClientIp.FORWARDED: "Forwarded"}

Admit = Callable[[RequestHead, RequestRecord], Awaitable[Outbound | Reply]]
"""What goes upstream, or an answer where the decision itself is all that was asked for."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Decides about requests; holds no state of its own."""

    resolver: RouteResolver
    limiter: Limiter
    authentication: Authenticator
    authorisation: Authoriser
    fields: RequestFields
    public_origin: str
    client_ip: ClientIp
    trusted_proxies: tuple[IPNetwork, ...]
    cookie: Cookie
    login: LoginPage | None = None
    """None where there is no login page: whoever is nobody is answered 401."""
    assertions: AssertionCache | None = None
    """None where the config asks for none."""
    _public_scheme: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_public_scheme", self.public_origin.partition(":")[0])

    async def admit(
        self, head: RequestHead, record: RequestRecord, *, is_check: bool = False
    ) -> Outbound | Reply:
        """
        What to send upstream for ``head``; if ``is_check``, what a proxy that does so is told.

        Raises the `Refusal` of the first stage that says no. ``record`` is filled in on the way,
        for the access log.
        """
        client = self._client(head)
        record.client = client.text
        preflighted = None
        if head.method == "OPTIONS" and not is_check:
            preflighted = self._preflighted(head)
        found = preflighted or self.resolver.find(head)
        host, target, route, forwarded = found
        record.host, record.path, record.route = host, target.path, route.name
        if route.cors is not None:
            record.fields = answer_fields(route.cors, head.headers)
        if not route.upstream and not is_check:
            return await self._check(head, route, record)
        await self._let_in(head, route, client, is_check=is_check)
        if preflighted is not None:
            return self._preflight(head, preflighted, client)
        try:
            identity = await self._somebody(head, route, client, record)
        except Refusal as refusal:
            raise self._instead(refusal, head, found, is_check=is_check) from None
        asserted = b""
        if self.assertions is not None and identity is not None:
            asserted = self.assertions.line(identity, route, head, forwarded)
        if is_check:
            lines = self.fields.identity_lines(identity)
            return allowed_reply(self.fields.identity_names, lines, asserted)
        fields = self.fields.rewrite(head, route, client, self._scheme(head), identity)
        cors = serialise(record.fields) if record.fields and replaces_cors(route) else b""
        return Outbound(route, head.method, forwarded, fields + asserted, identity, client, cors)

    def _instead(
        self, refusal: Refusal, head: RequestHead, found: ResolvedRoute, *, is_check: bool
    ) -> Refusal:
        """``refusal`` with what helps against it, or the login page in its place."""
        if isinstance(refusal, AmbiguousCredentials) and refusal.is_cookie:
            path = head.target.partition("?")[0]
            refusal.clears = self.cookie.clear_strangers(found.host, path)
        if self.login is None:
            return refusal
        return self.login.instead_of(refusal, head, found.route, found.target, is_check=is_check)

    def _preflighted(self, head: RequestHead) -> ResolvedRoute | None:
        """Where the request leads that a preflight asks about; None where ``head`` is no such."""
        asked = asked_method(head)
        if asked is None:
            return None
        try:
            found = self.resolver.find(head._replace(method=asked))
        except (NoRoute, UnsupportedMethod):
            return None
        return found if found.route.cors is not None else None

    def _preflight(
        self, head: RequestHead, found: ResolvedRoute, client: Client
    ) -> Outbound | Reply:
        """The answer to a preflight, or what goes to the app, which learns of nobody by it."""
        cors = found.route.cors
        if cors is not None and not cors.passes_preflights:
            return preflight_answer(cors, head.headers)
        enforce_preflight(found.route, client, head.method)
        route = replace(found.route, auth=Auth.NONE, forward_credentials=False)
        fields = self.fields.rewrite(head, route, client, self._scheme(head), None)
        return Outbound(route, head.method, found.forwarded, fields, None, client)

    async def _somebody(
        self, head: RequestHead, route: Route, client: Client, record: RequestRecord
    ) -> Identity | None:
        """Who is asking, and may: proven, from a page of ours, and by the rules of the route."""
        identity = await self.authentication.identify(head, route, client)
        if identity is not None:
            record.issuer, record.auth_method = identity.user.issuer, identity.method
            if head.upgrade:
                refuse_foreign_upgrade(head.headers, identity, self.public_origin)
            else:
                listed = route.cors.credentialed if route.cors is not None else _NONE_LISTED
                refuse_cross_site(head.method, head.headers, identity, self.public_origin, listed)
            if self.authorisation.gives_roles:
                identity = await self.authorisation.with_roles(identity, route)
        if route.allow or route.deny:
            self.authorisation.enforce(route, identity, client, head.method)
        return identity

    async def _check(
        self, head: RequestHead, route: Route, record: RequestRecord
    ) -> Outbound | Reply:
        """
        Decide on the request that a proxy in front asks about, as on one that came to us.

        Raises `UntrustedPeer` for everybody else, whose word on it is worth nothing.
        """
        if not route.is_internal:
            raise NoRoute("the route has no upstream")
        if not is_trusted(head.peer.address, self.trusted_proxies):
            raise UntrustedPeer
        asked = checked_request(head, route.path.removesuffix("/*"))
        record.checked = asked.method
        try:
            return await self.admit(asked, record, is_check=True)
        except SignInFirst as refusal:
            if takes_redirect(head):
                raise
            raise SignInByProxy(refusal.reason, refusal.location) from None

    def _client(self, head: RequestHead) -> Client:
        """
        Who asks: the other end of the socket, unless that is a proxy of ours that names another.

        Whom it names has shown us no certificate, even where the name cannot be read.
        """
        field = _SAID_IN.get(self.client_ip)  # the PROXY protocol was read before any request
        if field is None or field not in head.headers:
            return head.peer
        if not is_trusted(head.peer.address, self.trusted_proxies):
            return head.peer
        if self.client_ip is ClientIp.FORWARDED:
            return client_at(self._vouched(head).address)
        said = head.headers.getall(field)
        return client_at(client_address(head.peer.address, said, self.trusted_proxies))

    def _scheme(self, head: RequestHead) -> str:
        """What the client used: as our proxy in front says, else as we see, else as is public."""
        said = self._said_scheme(head) if self.trusted_proxies else ""
        return said or head.peer.scheme or self._public_scheme

    def _said_scheme(self, head: RequestHead) -> str:
        """In the field that the client's address is read from: others may be the client's own."""
        if self.client_ip is ClientIp.FORWARDED:
            return self._vouched(head).scheme
        if self.client_ip is ClientIp.PROXY_PROTOCOL:
            return ""
        if is_trusted(head.peer.address, self.trusted_proxies):
            return forwarded_scheme(head.headers.getall("X-Forwarded-Proto", ()))
        return ""

    def _vouched(self, head: RequestHead) -> ForwardedClient:
        said = head.headers.getall("Forwarded", ())
        return forwarded_client(head.peer.address, said, self.trusted_proxies)

    async def _let_in(
        self, head: RequestHead, route: Route, client: Client, *, is_check: bool
    ) -> None:
        """Before anything expensive: guessing must cost the guesser, not us."""
        if is_check and route.is_internal:
            raise NoRoute("the gateway's own pages are behind no other proxy")
        for limit in route.limits:
            state = await self.limiter.spend(limit, client.limit_key)
            if not state.allowed:
                raise RateLimited(state)
        if head.upgrade and head.upgrade not in route.upgrades:
            raise UnsupportedUpgrade("the route does not list it")
