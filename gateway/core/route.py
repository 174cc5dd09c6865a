"""Routes: the entries of ``routes:``, compiled."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.core.address import IPNetwork
from gateway.core.identity import INTERACTIVE_METHODS, AuthMethod
from gateway.core.limit import Limit


class Auth(StrEnum):
    """What a route asks of the caller."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One entry of ``allow`` or ``deny``, or of ``identity.roles``; see `gateway.authz.rules`.

    What is empty asks for nothing. Texts are folded as they are compared.
    """

    issuers: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    """Whole addresses, or ``*@`` and a domain."""
    domains: frozenset[str] = frozenset()
    """Domains, or ``*.`` and one for all below it."""
    addresses: frozenset[str] = frozenset()
    """Public addresses that Magic knows, in lower case."""
    wallets: frozenset[str] = frozenset()
    """Addresses whose key has signed: those in ``did:ethr:0x…``, in lower case."""
    auth_methods: frozenset[AuthMethod] = frozenset()
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    networks: tuple[IPNetwork, ...] = ()
    methods: frozenset[str] = frozenset()

    @property
    def is_about_callers(self) -> bool:
        """Whether it asks for anything that nobody has who is not proven."""
        named = self.issuers or self.emails or self.domains or self.addresses or self.wallets
        return bool(named or self.auth_methods or self.roles or self.scopes)


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of ``identity.roles``: whom the rule is about has the role."""

    role: str
    rule: Rule


class UpstreamTimeouts(NamedTuple):
    """How long an app may take. All in seconds."""

    connect_s: float = 2.0
    response_s: float = 30.0
    """From the end of the request to the head of the answer."""
    idle_s: float = 300.0
    """Between two parts of a body, in either direction."""


class Balance(StrEnum):
    """How requests are spread over the servers of an upstream."""

    ROUND_ROBIN = "round-robin"
    LEAST_CONNECTIONS = "least-connections"
    """Whoever has the fewest requests under way."""
    BY_ISSUER = "by-issuer"
    """The same server for the same caller, for as long as that server is there."""


_DEFAULT_TIMEOUTS = UpstreamTimeouts()


FieldLines = tuple[tuple[str, str], ...]
"""Field lines of our own: name and value."""


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other origins may use a route, as field lines; see `gateway.authz.cors`."""

    answers: Mapping[str, FieldLines]
    """What answers say, by the origin that is listed."""
    preflights: Mapping[str, FieldLines]
    """What answers to preflights say."""
    otherwise: FieldLines
    """What answers say to all others."""
    credentialed: frozenset[str]
    """Origins whose pages may change things with the visitor's session."""
    passes_preflights: bool
    """Whether the app answers preflights, and speaks for itself on all else."""


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of ``routes:``, compiled."""

    name: str
    path: str
    """An exact path, or a prefix that ends in ``/*``."""
    upstream: str
    """Empty where nothing is forwarded: decided on for a proxy in front alone."""
    auth: Auth = Auth.REQUIRED
    accept: frozenset[AuthMethod] = INTERACTIVE_METHODS
    """The kinds of credentials that it takes."""
    host: str | None = None
    """Lower case, without port; None for any host."""
    methods: frozenset[str] | None = None
    limits: tuple[Limit, ...] = ()
    forward_credentials: bool = False
    """Whether the app may see ``Authorization: Bearer`` and the session cookie."""
    keep_encoded_slashes: bool = False
    timeouts: UpstreamTimeouts = _DEFAULT_TIMEOUTS
    upgrades: frozenset[str] = frozenset()
    """Protocols that a connection may become, in lower case."""
    prefix: str = ""
    """The start of all paths that it covers, which is replaced by ``new_prefix`` upstream."""
    new_prefix: str = ""
    hidden_prefix: str = ""
    """What the app is told that it does not see of the path."""
    rewrites_host: bool = False
    """Whether ``Host`` names the server, not what the client asked for."""
    is_sign_in: bool = False
    """Whether a session is made here: the one that the cookie names has no say beside a token."""
    allow: tuple[Rule, ...] = ()
    """Where there are any, one of them must hold."""
    deny: tuple[Rule, ...] = ()
    """None of them may hold."""
    cors: Cors | None = None
    """None where pages of other origins have no say."""
    is_internal: bool = False
    """Whether it leads to the gateway's own pages, which may see whose request it is."""
