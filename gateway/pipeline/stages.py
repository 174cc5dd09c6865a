"""The stages that requests, forward-auth checks and CORS preflights share."""

from dataclasses import dataclass

from gateway.assertion.cache import AssertionCache
from gateway.authn.authenticator import Authenticator
from gateway.authn.credentials import Credentials
from gateway.authn.login_redirect import LoginPage
from gateway.authz.authoriser import Authoriser
from gateway.authz.cors import answer_fields
from gateway.authz.csrf import refuse_cross_site, refuse_foreign_upgrade
from gateway.core.errors import AmbiguousCredentials, Refusal, UnsupportedUpgrade
from gateway.core.identity import Identity
from gateway.core.record import RequestRecord
from gateway.core.request import Client, RequestHead, Target
from gateway.core.route import Route
from gateway.headers.request import RequestFields
from gateway.pipeline.limits import RouteLimits
from gateway.routing.client_resolver import ClientResolver
from gateway.routing.resolver import ResolvedRoute, RouteResolver
from gateway.sessions.cookie import Cookie

_NO_ORIGINS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stages:
    """Holds the parts of one config that decide, and the stages made of them; has no state."""

    clients: ClientResolver
    resolver: RouteResolver
    limits: RouteLimits
    authenticator: Authenticator
    authoriser: Authoriser
    fields: RequestFields
    cookie: Cookie
    login: LoginPage | None = None
    """None where there is no login page: a caller without credentials is answered 401."""
    assertions: AssertionCache | None = None
    """None where the config asks for none."""

    def find_client(self, head: RequestHead, record: RequestRecord) -> Client:
        """Find the client: the peer, or the one that a trusted proxy names. Record its scheme."""
        client = self.clients.client_of(head)
        record.client, record.scheme = client.text, self.clients.scheme_of(head)
        return client

    def resolve(self, head: RequestHead, record: RequestRecord) -> ResolvedRoute:
        """Resolve the target to a route. Raises what `RouteResolver.resolve` raises."""
        resolved = self.resolver.resolve(head)
        self.note_route(head, resolved, record)
        return resolved

    def note_route(self, head: RequestHead, resolved: ResolvedRoute, record: RequestRecord) -> None:
        """Record the route, and the CORS fields that all its answers carry."""
        record.host, (record.path, _, _), route, _ = resolved
        record.route = route.name
        if route.cors is not None:
            record.fields = answer_fields(route.cors, head.headers)

    def enforce_upgrades(self, head: RequestHead, route: Route) -> None:
        """Raise `UnsupportedUpgrade` for an upgrade that the route does not list."""
        if head.upgrade and head.upgrade not in route.upgrades:
            raise UnsupportedUpgrade("the route does not list it")

    async def identify(
        self,
        head: RequestHead,
        route: Route,
        client: Client,
        record: RequestRecord,
        sent: Credentials | None = None,
    ) -> Identity | None:
        """
        Authenticate, refuse cross-site requests, charge the caller's limits, authorise.

        Returns None for an anonymous caller. A page of another site must not use up a visitor's
        limit, and one that guesses what it may is limited, too: so limits are charged between the
        two. ``sent`` is what `Authenticator.read_now` has returned.
        """
        identity = await self.authenticator.identify(head, route, client, sent)
        try:  # costs nothing where no stage refuses
            if identity is not None:
                record.issuer, record.auth_method = identity.user.issuer, identity.method
                self.limits.refuse_denied(route, identity.user)
                self.check_origin(head, route, identity)
                if self.authoriser.gives_roles:
                    identity = await self.authoriser.with_roles(identity, route)
            if route.identity_limits:
                await self.limits.charge_identity(head, route, client, identity, record)
            if route.allow or route.deny:
                self.authoriser.enforce(route, identity, client, head.method)
        except Refusal as refusal:
            if identity is not None:
                refusal.signed_in_as = identity.signed_in_as
            raise
        return identity

    def check_origin(self, head: RequestHead, route: Route, identity: Identity) -> None:
        """Refuse a request that a page of another site makes with our cookie (CSRF)."""
        public_origin = self.clients.public_origin
        if head.upgrade:
            refuse_foreign_upgrade(head.headers, identity, public_origin)
        else:
            listed = route.cors.credentialed if route.cors is not None else _NO_ORIGINS
            refuse_cross_site(head.method, head.headers, identity, public_origin, listed)

    def assertion_line(
        self, identity: Identity | None, head: RequestHead, route: Route, target: Target
    ) -> bytes:
        """Return the signed field line about the caller; empty where the config asks for none."""
        if self.assertions is None or identity is None:
            return b""
        return self.assertions.line(identity, route, head, target)

    def with_cleared_cookies(
        self, refusal: Refusal, head: RequestHead, resolved: ResolvedRoute
    ) -> Refusal:
        """
        Make the response clear foreign session cookies where the request carried several.

        Another host of the same site may have set one beside ours (cookie tossing). The browser
        sends both until each is cleared at its own path and domain.
        """
        if isinstance(refusal, AmbiguousCredentials) and refusal.is_cookie:
            path = head.target.partition("?")[0]
            refusal.clears = self.cookie.clear_foreign(resolved.host, path)
        return refusal
