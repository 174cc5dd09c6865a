"""
The settings: what a config file may say. The models are the reference; all of them are frozen.

Attributes carry their unit where the YAML key does not (``timeouts.head`` is ``timeouts.head_s``).
What spans several places is judged in `gateway.config.checks`; `gateway.config.load` runs both.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from gateway.config.addresses import (
    Host,
    HostField,
    HostPort,
    Listen,
    Network,
    OptionalOrigin,
    Origin,
    RedisUrl,
    ServerUrl,
)
from gateway.config.cors import CorsSettings
from gateway.config.credentials import CredentialSettings
from gateway.config.draft import Draft, with_defaults
from gateway.config.identity import IdentitySettings
from gateway.config.limits import LimitSettings
from gateway.config.listen import ListenPlace
from gateway.config.login import LoginSettings
from gateway.config.names import (
    CookieName,
    KeyPrefix,
    MethodName,
    Name,
    UpgradeToken,
)
from gateway.config.paths import (
    CanonicalPath,
    PathStart,
    Prefix,
    RoutePath,
)
from gateway.config.rules import RuleList
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.texts import (
    FilePath,
    OptionalSecret,
    OptionalText,
    SealKey,
)
from gateway.config.units import (
    CountText,
    Duration,
    Few,
    Flag,
    Lifetime,
    Pause,
    Size,
    Workers,
)
from gateway.core.identity import AuthMethod
from gateway.core.route import Auth, Balance


class ServerTimeouts(Section):
    """How long a client may take."""

    head_s: Duration = Field(10.0, alias="head")
    """For the whole head of a request, from its first byte."""
    body_idle_s: Duration = Field(30.0, alias="body_idle")
    """For the next part of a body."""
    keep_alive_s: Duration = Field(75.0, alias="keep_alive")
    """For the next request on an idle connection."""
    half_closed_s: Duration = Field(5.0, alias="half_closed")
    """For the answer to begin once the client has closed its sending side: it may have left."""
    min_rate_bytes: Size = Field(128, alias="min_rate")
    """What a body must move in a second, on the whole, beyond `body_idle`."""
    drain_s: Duration = Field(30.0, alias="drain")
    """For requests under way when the gateway is told to stop."""
    drain_delay_s: Annotated[Duration | None, GIVEN] = Field(None, alias="drain_delay")
    """Before it stops accepting, while it is no longer ready: for balancers to notice; or none."""


class ServerCaps(Section):
    """How much a client may send."""

    connections: CountText = 10_000
    """Connections at one time; one more is answered 503 and closed."""
    connections_per_client: CountText = 1000
    """Connections of one address (of IPv6, one /64) at one time; trusted proxies are exempt."""
    tunnels: CountText = 10_000
    """WebSockets and other tunnels at one time; one more is answered 503."""
    head_bytes: Size = 16 << 10
    """Request line and header fields together."""
    fields: CountText = 100
    """Header fields of one request."""
    body_bytes: Size = Field(1 << 30, alias="body")
    """The body of one request."""


class CertificateSettings(Section):
    """A certificate; its names say for which hosts it is."""

    certificate: FilePath
    """A PEM file: the certificate, then those that lead to the root."""
    key: FilePath
    """A PEM file with its private key, without a password."""


class TlsSettings(Section):
    """TLS 1.2 and 1.3 on all of `listen`. The files are read again when they change."""

    certificate: Annotated[FilePath | None, GIVEN] = None
    """A PEM file: the certificate, then those that lead to the root."""
    key: Annotated[FilePath | None, GIVEN] = None
    """A PEM file with its private key, without a password."""
    client_ca: Annotated[FilePath | None, GIVEN] = None
    """A PEM file of CAs: every client must show a certificate of theirs; none is asked without."""
    client_auth: Literal["required", "optional"] = "required"
    """optional: clients without a certificate are let in too; those with a bad one never."""
    certificates: tuple[CertificateSettings, ...] = ()
    """More of them, chosen by the host that a client names; the first of all is the default."""


class ServerSettings(Section):
    """The side that faces the clients."""

    listen: Annotated[tuple[ListenPlace, ...], SOME] = (HostPort("0.0.0.0", 8080),)  # noqa: S104 - a server
    """host:port, unix:/path, fd:N or systemd[:NAME]; 127.0.0.1:8080 in development mode."""
    tls: Annotated[TlsSettings | None, GIVEN] = None
    """Certificates; without them the gateway speaks plain HTTP."""
    public_url: Origin
    """The origin that browsers see: decides Secure cookies, redirects and the allowed Origin."""
    workers: Workers = 1
    """Processes that share the addresses: a number, or auto for one for each core."""
    prefix: Prefix = "/_gateway"
    """Where the gateway's own pages are; no route may shadow it."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks of proxies in front, whose forwarding header is believed; never all of the net."""
    client_ip: Literal["peer", "x-forwarded-for", "forwarded", "proxy-protocol"] = "peer"
    """Where the client's address is read: the socket, or a trusted proxy's field or header."""
    forwarded: Literal["both", "x-forwarded", "forwarded"] = "both"
    """How apps are told where a request came from: X-Forwarded-*, Forwarded (RFC 7239), or both."""
    timeouts: ServerTimeouts = ServerTimeouts()
    """How long a client may take."""
    max: ServerCaps = ServerCaps()
    """How much a client may send."""


class AdminSettings(Section):
    """The private listener: health, metrics and the operators' API."""

    listen: Listen = HostPort("127.0.0.1", 9090)
    """The address; it must not be reachable from outside."""
    hosts: tuple[Host, ...] = ()
    """Names by which its API may be asked, beside localhost and IP addresses."""


class RedisSettings(Section):
    """The store that all gateways share."""

    # In the file it may be absent: REDIS_URL is read then.
    model_config = ConfigDict(json_schema_extra={"required": []})

    url: RedisUrl
    """redis://, rediss://, unix:///path, or embedded:// (embedded:///dir keeps its data)."""
    prefix: KeyPrefix = ""
    """What stands before every key."""
    timeout_s: Duration = Field(0.25, alias="timeout")
    """For one answer."""


class MagicSettings(Section):
    """The account with Magic."""

    mode: Literal["live", "development"] = "live"
    """development mints its own tokens: on loopback only, and never with a live key."""
    secret_key: OptionalSecret = None
    """The secret key of the app at Magic; required in live mode."""
    publishable_key: OptionalText = ""
    """The publishable key, for the login page."""
    client_id: OptionalText = ""
    """The client id, which tokens must name; asked from Magic at start when empty."""
    api_url: OptionalOrigin = None
    """Where Magic's admin API is; the SDK's own when empty."""
    endpoint: Origin = "https://auth.magic.link"
    """Where Magic's part of the login page is: its frame comes from here."""
    timeout_s: Duration = Field(5.0, alias="timeout")
    """For one answer of Magic's."""


class SessionSettings(Section):
    """Who stays signed in, and for how long."""

    cookie: CookieName = "__Host-session"
    """The cookie's name; plain `session` by default where public_url is http."""
    lifetime_s: Lifetime = Field(None, alias="lifetime")
    """`token`: as long as the DID token; or a duration that caps that."""
    idle_s: Annotated[Duration | None, GIVEN] = Field(None, alias="idle")
    """Without use, a session ends after so long, or up to a tenth less; never when absent."""
    grace_s: Pause = Field(30.0, alias="grace")
    """How long sessions that were used a moment ago go on while Redis does not answer; or 0."""
    logout_magic: Flag = True
    """Whether who signs out here, or is revoked, is signed out at Magic too, on all devices."""
    keys: tuple[SealKey, ...] = ()
    """Random keys of 32 bytes or more; the first seals, all open. Required in live mode."""
    require_attempt: Flag = False
    """Whether only who has asked at {prefix}/login/attempt may exchange a token for a session."""


class UpstreamTimeoutSettings(Section):
    """How long an app may take."""

    connect_s: Duration = Field(2.0, alias="connect")
    """To accept a connection."""
    response_s: Duration = Field(30.0, alias="response")
    """To begin its answer."""
    idle_s: Duration = Field(300.0, alias="idle")
    """Between two parts of an answer, or of a tunnel."""


class HealthSettings(Section):
    """How servers are asked whether they are well."""

    path: CanonicalPath
    """What is asked for with GET; an answer from 200 to 399 is a good one."""
    interval_s: Duration = Field(5.0, alias="interval")
    """From one check of a server to the next."""
    timeout_s: Duration = Field(2.0, alias="timeout")
    """For a whole check."""
    healthy_after: CountText = 2
    """Good answers in a row after which a server gets requests again."""
    unhealthy_after: CountText = 3
    """Bad or missing ones after which it gets none."""


class EjectionSettings(Section):
    """When a server that fails gets no requests for a while; never more than half of them."""

    failures: CountText = 5
    """Requests in a row without an answer, or answered 502, 503 or 504."""
    pause_s: Duration = Field(10.0, alias="pause")
    """For how long; doubled each time it fails again soon after."""
    longest_s: Duration = Field(300.0, alias="longest")
    """The longest pause."""


class CircuitSettings(Section):
    """When all requests are answered 503 at once, so that an app that is down can come up."""

    failures: CountText = 20
    """Requests in a row without an answer, or answered 502, 503 or 504."""
    pause_s: Duration = Field(1.0, alias="pause")
    """For how long; then one request may try, and one in each pause after."""


class UpstreamTlsSettings(Section):
    """How `https://` servers are recognised, and what they are shown."""

    ca: OptionalText = ""
    """A file with the certificates that are trusted; the system's when empty."""
    server_name: Annotated[Host | None, GIVEN] = None
    """The name that the certificate must bear; the server's host when absent."""
    certificate: OptionalText = ""
    """A file with our own certificate and its chain, for servers that ask for one."""
    key: OptionalText = ""
    """A file with its key."""
    verify: Flag = True
    """false: believe any certificate, and whoever stands between."""


class UpstreamSettings(Section):
    """An app behind the gateway."""

    servers: Annotated[tuple[ServerUrl, ...], SOME]
    """Where it listens: http://host:port, https://host:port or unix:/path; one or several."""
    balance: Balance = Balance.ROUND_ROBIN
    """Who is next: round-robin, least-connections, or by-issuer (the same for one caller)."""
    health: Annotated[HealthSettings | None, GIVEN] = None
    """Checks of each server; none when absent."""
    ejection: EjectionSettings = EjectionSettings()
    """When a server that fails is left alone."""
    slow_start_s: Duration = Field(10.0, alias="slow_start")
    """Until a server that came back has its full share of the requests."""
    circuit_breaker: Annotated[CircuitSettings | None, GIVEN] = None
    """When the whole app is left alone; never when absent."""
    retries: Few = 1
    """How often a request is sent once more; only where that is safe, and a fifth at most."""
    timeouts: UpstreamTimeoutSettings = UpstreamTimeoutSettings()
    """How long it may take."""
    connections: CountText = 256
    """Connections to each server at one time."""
    max_in_flight: Annotated[CountText | None, GIVEN] = None
    """Requests under way at one time; one more is answered 503. No bound when absent."""
    tls: UpstreamTlsSettings = UpstreamTlsSettings()
    """For https:// servers."""
    audience: OptionalText = ""
    """What it is called in assertions (`aud`); its name when empty."""
    host: Literal["keep", "rewrite"] = "keep"
    """`Host` as the app sees it: the client's, or the server's own name."""


class RouteTimeouts(Section):
    """How long the app may take on one route; what is absent is as for its upstream."""

    connect_s: Annotated[Duration | None, GIVEN] = Field(None, alias="connect")
    """To accept a connection."""
    response_s: Annotated[Duration | None, GIVEN] = Field(None, alias="response")
    """To begin its answer."""
    idle_s: Annotated[Duration | None, GIVEN] = Field(None, alias="idle")
    """Between two parts of an answer, or of a tunnel."""


class RouteMatch(Section):
    """Which requests a route is for."""

    host: Annotated[HostField | None, GIVEN] = None
    """The host of the request, without port; any when absent."""
    path: RoutePath
    """An exact path (/x), or all below one (/x/*, which covers /x too)."""
    methods: Annotated[Annotated[frozenset[MethodName], SOME] | None, GIVEN] = None
    """Request methods; any when absent."""


class RouteSettings(Section):
    """Where requests go, and who may make them. The most specific route wins."""

    name: Name
    """A name for logs; unique."""
    match: RouteMatch
    """Which requests it is for."""
    auth: Auth = Auth.REQUIRED
    """required, optional, or none for a public route."""
    accept: Annotated[tuple[AuthMethod, ...], SOME] = (AuthMethod.SESSION, AuthMethod.DID_TOKEN)
    """Kinds of credentials: session, did-token, api-key, jwt, client-certificate."""
    allow: Annotated[RuleList | None, GIVEN] = None
    """Who may, of those who are proven; any one rule is enough. All of them when absent."""
    deny: Annotated[RuleList | None, GIVEN] = None
    """Who may not; goes before `allow`."""
    limits: Annotated[tuple[Name, ...] | None, GIVEN] = None
    """Names of limits; the one named default when absent; [] for none."""
    upstream: Annotated[Name | None, GIVEN] = None
    """The name of an upstream; without one, the route is for checks of a proxy in front alone."""
    forward_credentials: Flag = False
    """Whether the app may see `Authorization: Bearer` and the session cookie."""
    encoded_slashes: Literal["refuse", "keep"] = "refuse"
    """What happens to a path with %2F or %5C in it."""
    upgrades: Annotated[tuple[UpgradeToken, ...], GIVEN] = ("websocket",)
    """Protocols that a connection may become; [] for none."""
    strip_prefix: Annotated[Prefix | None, GIVEN] = None
    """What is cut off the path: with /api, /api/users is /users to the app."""
    rewrite: Annotated[PathStart | None, GIVEN] = None
    """What takes the place of the path that the route names: with /v2, /api/users is /v2/users."""
    timeouts: RouteTimeouts = RouteTimeouts()
    """How long the app may take here."""
    cors: Annotated[CorsSettings | None, GIVEN] = None
    """Which pages of other origins may use it; preflights are requests like any when absent."""


class Settings(Section):
    """A whole config file."""

    # Sections that are absent are there with their defaults; only public_url has none.
    model_config = ConfigDict(json_schema_extra={"required": ["server"]})

    server: ServerSettings
    """The side that faces the clients."""
    admin: AdminSettings | None = AdminSettings()
    """The private listener; null switches it off."""
    redis: RedisSettings
    """The store that all gateways share."""
    magic: MagicSettings = MagicSettings()
    """The account with Magic."""
    session: SessionSettings = SessionSettings()
    """Who stays signed in, and for how long."""
    identity: IdentitySettings = IdentitySettings()
    """What is known of a caller, and what the app is told."""
    login: LoginSettings = LoginSettings()
    """Where people sign in."""
    credentials: CredentialSettings = CredentialSettings()
    """More ways in, for programs."""
    limits: Mapping[Name, LimitSettings] = {}
    """Rate limits by name; `default` is for every route that names none."""
    upstreams: Mapping[Name, UpstreamSettings] = {}
    """Apps by name."""
    routes: tuple[RouteSettings, ...] = ()
    """Where requests go; what no route matches is answered 404."""

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, data: object) -> object:
        """Sections that must be there, and defaults that follow from other places."""
        if isinstance(data, dict):
            data = {"server": {}, "redis": {}, **data}
        return with_defaults(Draft(data)).data
