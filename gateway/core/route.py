"""Routes: the entries of ``routes:``, compiled."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.core.address import IPNetwork
from gateway.core.identity import INTERACTIVE_METHODS, AuthMethod
from gateway.core.limit import Limit
from gateway.core.method import KNOWN_METHODS, is_forwardable

WEBSOCKET = "websocket"
"""The protocol of RFC 6455, as an upgrade token."""


def is_websocket(protocol: str) -> bool:
    """Return whether an upgrade token names WebSocket, in any case and version."""
    return protocol.partition("/")[0].lower() == WEBSOCKET


class Auth(StrEnum):
    """Whether a route requires authentication."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One entry of ``allow`` or ``deny``, or of ``identity.roles``; see `gateway.authz.rules`.

    An empty matcher matches every request. Texts are normalised as they are compared.
    """

    issuers: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    """Whole addresses, or ``*@`` and a domain."""
    domains: frozenset[str] = frozenset()
    """Domains, or ``*.`` and a domain for all its subdomains."""
    addresses: frozenset[str] = frozenset()
    """Public addresses that Magic knows, in lower case."""
    wallets: frozenset[str] = frozenset()
    """Addresses whose key signed the token (those in ``did:ethr:0x…``), in lower case."""
    auth_methods: frozenset[AuthMethod] = frozenset()
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    networks: tuple[IPNetwork, ...] = ()
    methods: frozenset[str] = frozenset()

    @property
    def is_about_callers(self) -> bool:
        """Whether the rule needs an authenticated caller."""
        named = self.issuers or self.emails or self.domains or self.addresses or self.wallets
        return bool(named or self.auth_methods or self.needs_roles or self.scopes)

    @property
    def needs_roles(self) -> bool:
        """Whether the rule depends on the caller's roles."""
        return bool(self.roles or self.permissions)


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of ``identity.roles``: gives the role to identities that match the rule."""

    role: str
    rule: Rule


class UpstreamTimeouts(NamedTuple):
    """Time-outs towards an app, in seconds."""

    connect_s: float = 2.0
    response_s: float = 30.0
    """From the end of the request to the head of the response."""
    idle_s: float = 300.0
    """Between two reads or writes of a body, in either direction."""


class Balance(StrEnum):
    """Load balancing: how requests are spread over the servers of an upstream."""

    ROUND_ROBIN = "round-robin"
    LEAST_CONNECTIONS = "least-connections"
    """The server with the fewest requests in flight."""
    BY_ISSUER = "by-issuer"
    """The same server for the same caller, while that server is healthy."""


_DEFAULT_TIMEOUTS = UpstreamTimeouts()


FieldLines = tuple[tuple[str, str], ...]
"""Field lines that the gateway writes: name and value."""


@dataclass(frozen=True, slots=True)
class Cors:
    """The CORS policy of a route, as field lines; see `gateway.authz.cors`."""

    answers: Mapping[str, FieldLines]
    """Fields of responses, by the listed origin."""
    preflights: Mapping[str, FieldLines]
    """Fields of responses to preflights, by the listed origin."""
    otherwise: FieldLines
    """Fields of responses to requests of any other origin."""
    credentialed: frozenset[str]
    """Origins whose pages may make state-changing requests with the visitor's session."""
    passes_preflights: bool
    """Whether the app answers preflights and writes the CORS fields itself."""


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of ``routes:``, compiled."""

    name: str
    path: str
    """An exact path, or a prefix that ends in ``/*``."""
    upstream: str
    """Empty for a route that is only checked for a proxy in front (forward-auth)."""
    auth: Auth = Auth.REQUIRED
    accept: frozenset[AuthMethod] = INTERACTIVE_METHODS
    """The kinds of credentials that the route accepts."""
    host: str | None = None
    """Lower case, without port; ``*.`` and a domain for all its subdomains; None for any host."""
    methods: frozenset[str] | None = None
    takes_any_method: bool = False
    """Whether methods that the gateway does not know go to the app, too."""
    limits: tuple[Limit, ...] = ()
    """Those charged before authentication, by what the request itself tells."""
    identity_limits: tuple[Limit, ...] = ()
    """Those charged after authentication, which need to know the caller."""
    concurrency: tuple[Limit, ...] = ()
    """Limits on the requests of a caller that are under way at one time."""
    cost: int = 1
    """How many requests one of this route counts as."""
    tells_cost: bool = False
    """Whether the app's answer tells what the request cost, beyond ``cost``."""
    forward_credentials: bool = False
    """Whether the app may see ``Authorization: Bearer`` and the session cookie."""
    keep_encoded_slashes: bool = False
    timeouts: UpstreamTimeouts = _DEFAULT_TIMEOUTS
    upgrades: frozenset[str] = frozenset()
    """Protocols that a connection may become, in lower case."""
    prefix: str = ""
    """The start of all paths of the route; ``new_prefix`` replaces it upstream."""
    new_prefix: str = ""
    hidden_prefix: str = ""
    """The part of the path that the app does not see, told in ``X-Forwarded-Prefix``."""
    passed_fields: frozenset[str] = frozenset()
    """Fields of other gateways that clients may send to the app, in lower case."""
    rewrites_host: bool = False
    """Whether ``Host`` names the upstream server instead of the requested host."""
    is_sign_in: bool = False
    """Whether sessions are created here: a bearer token replaces the session of the cookie."""
    allow: tuple[Rule, ...] = ()
    """If there are any, at least one must match."""
    deny: tuple[Rule, ...] = ()
    """None of them may match."""
    cors: Cors | None = None
    """None where no other origin is allowed."""
    is_internal: bool = False
    """Whether the route leads to the gateway's own pages, which get the identity in full."""
    is_dashboard: bool = False
    """Whether the route leads to the dashboard, which gets the identity in full, too."""

    def takes(self, method: str) -> bool:
        """Whether ``method``, which led to this route, may go to its app."""
        if self.methods is not None or method in KNOWN_METHODS:
            return True
        return self.takes_any_method and is_forwardable(method)

    def ignores_upgrade(self, protocol: str) -> bool:
        """
        Whether a request to upgrade to ``protocol`` is served as if it did not ask (RFC 9110 7.8).

        The app never hears of the upgrade, so it cannot agree to one (CVE-2026-88008). Requests for
        a WebSocket are refused instead where the route lists none: they have no other use.
        """
        return protocol not in self.upgrades and not is_websocket(protocol)
