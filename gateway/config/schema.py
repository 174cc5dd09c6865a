"""
The settings of a config file: the models are the reference, and all of them are frozen.

Docstrings of fields are the descriptions that ``gateway schema`` prints. Attributes carry their
unit where the YAML key does not (``timeouts.head`` is ``timeouts.head_s``). `gateway.config.checks`
compares keys of several places; `gateway.config.load` runs both.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from gateway.config.addresses import OptionalOrigin, Origin, RedisUrl, RouteHost
from gateway.config.audit import AuditSettings
from gateway.config.cors import CorsSettings
from gateway.config.credentials import AuthMethodName, CredentialSettings
from gateway.config.draft import Draft, with_defaults
from gateway.config.hooks import HooksSettings
from gateway.config.identity import IdentitySettings
from gateway.config.limits import Cost, LimitSettings
from gateway.config.log import LogSettings
from gateway.config.login import LoginSettings
from gateway.config.names import (
    ANY_METHOD,
    CookieName,
    KeyPrefix,
    Name,
    RouteMethods,
    UpgradeToken,
)
from gateway.config.pages import PagesSettings
from gateway.config.paths import PathStart, Prefix, RoutePath
from gateway.config.redis import RedisTlsSettings, SentinelSettings
from gateway.config.rules import RuleList
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.server import AdminSettings, ServerSettings
from gateway.config.store_env import REST_SCHEME
from gateway.config.texts import OptionalSecret, OptionalText, SealKey
from gateway.config.units import CountText, Duration, Few, Flag, Lifetime, Pause
from gateway.config.upstreams import UpstreamSettings
from gateway.core.identity import AuthMethod
from gateway.core.route import Auth

REST_TIMEOUT_S = 2.0
"""Time-out for one reply of a REST API that is not set: a handshake and a round trip of 300 ms."""


class RedisSettings(Section):
    """Redis, the store that all gateways share."""

    # `url` may be absent in the file: REDIS_URL is read then.
    model_config = ConfigDict(json_schema_extra={"required": []})

    url: RedisUrl
    """
    redis://host:port, rediss://host:port (TLS), redis+sentinel://host:port,host:port/name/database
    (the primary that sentinels name; rediss+sentinel:// with TLS), unix:///path, embedded:// (a
    store of this gateway, in memory), embedded:///dir (the same, kept on disk), or
    upstash+https://host (Upstash's REST API). When absent or empty, the environment is read:
    REDIS_URL, else UPSTASH_REDIS_REST_URL with UPSTASH_REDIS_REST_TOKEN, else KV_REST_API_URL with
    KV_REST_API_TOKEN.
    """
    token: OptionalSecret = None
    """Token of the REST API. Required with upstash+https://."""
    prefix: KeyPrefix = ""
    """Prefix of every key, so that several gateways can share one Redis."""
    timeout_s: Duration = Field(0.25, alias="timeout")
    """
    Time-out for one reply; 2s when absent with upstash+https://, which may be on another continent.
    Short, because requests wait for it: after it, the gateway goes on without the store as
    `limits.*.on_store_failure` and `session.grace` say.
    """
    username: OptionalText = ""
    """Name of the ACL user, unless it is in the URL. The default user when empty."""
    password: OptionalSecret = None
    """Password, unless it is in the URL."""
    username_file: OptionalText = ""
    """File of the user name, read again when it changes."""
    password_file: OptionalText = ""
    """
    File of the password, read again when it changes: connections get the new one within seconds. If
    the server refuses it, those that are open stay.
    """
    tls: Annotated[RedisTlsSettings | None, GIVEN] = None
    """Certificates for rediss://. As the options of the URL say when absent."""
    sentinel: SentinelSettings = SentinelSettings()
    """Credentials for the sentinels themselves."""
    connect_timeout_s: Duration = Field(1.0, alias="connect_timeout")
    """
    Time-out for opening a connection: name, TCP, TLS and login. No request waits for longer than
    `timeout`, but connecting goes on for the next ones.
    """
    connections: CountText = 2
    """
    Maximum number of connections of each worker for commands, and so of batches under way. One more
    is open for pub/sub. What comes meanwhile is sent as one batch.
    """
    retries: Few = 2
    """
    Maximum number of retries, 0 to 10, of reads whose connection broke, and of connecting. Pauses
    between them double and are random. Writes are never repeated.
    """

    @property
    def reply_timeout_s(self) -> float:
        """The time-out for one reply, by the kind of store where the config does not set it."""
        if "timeout_s" in self.model_fields_set:
            return self.timeout_s
        is_rest = self.url.get_secret_value().startswith(REST_SCHEME)
        return REST_TIMEOUT_S if is_rest else self.timeout_s


class MagicSettings(Section):
    """The app's account at Magic."""

    mode: Literal["live", "development"] = "live"
    """
    live, or development: the gateway mints its own DID tokens for any email address, so it listens
    on loopback only and refuses a live key.
    """
    secret_key: OptionalSecret = None
    """Secret key of the app at Magic. Required in live mode."""
    publishable_key: OptionalText = ""
    """Publishable key of the app at Magic. The login page needs it."""
    client_id: OptionalText = ""
    """Client id of the app: the audience of DID tokens. Asked from Magic at start when empty."""
    api_url: OptionalOrigin = None
    """Origin of Magic's admin API. The default of Magic's SDK when empty."""
    endpoint: Origin = "https://auth.magic.link"
    """Origin of Magic's frame in the login page."""
    timeout_s: Duration = Field(5.0, alias="timeout")
    """Time-out for one response of Magic."""


class SessionSettings(Section):
    """Sessions: their cookie, their lifetime and the keys that seal them."""

    cookie: CookieName = "__Host-session"
    """
    Name of the cookie. The prefix __Host- keeps sibling hosts from setting it; browsers require
    https for it, so the default is `session` where public_url is http.
    """
    lifetime_s: Lifetime = Field(None, alias="lifetime")
    """Maximum lifetime of a session: a duration, or `token` for that of the DID token alone."""
    idle_s: Annotated[Duration | None, GIVEN] = Field(None, alias="idle")
    """
    Time without use after which a session ends, or up to a tenth less: use is recorded at most
    every tenth of it. No such end when absent.
    """
    grace_s: Pause = Field(30.0, alias="grace")
    """
    Grace period: how long recently used sessions stay valid while Redis does not answer. 0 for
    none.
    """
    logout_magic: Flag = True
    """
    Whether signing out, or a revocation, ends the user's session at Magic too, on all devices.
    Otherwise Magic's session could sign the browser in again.
    """
    keys: tuple[SealKey, ...] = ()
    """
    Random keys of 32 bytes or more that seal session records. The first one encrypts, all of them
    decrypt, so that keys can be rotated. Required in live mode.
    """
    require_attempt: Flag = False
    """
    Whether the exchange of a token for a session requires a nonce from {prefix}/login/attempt,
    which charges `limits.login`.
    """


class RouteTimeouts(Section):
    """Time-outs of one route. Those of its upstream apply where a key is absent."""

    connect_s: Annotated[Duration | None, GIVEN] = Field(None, alias="connect")
    """Time-out for a connection, TLS handshake included."""
    response_s: Annotated[Duration | None, GIVEN] = Field(None, alias="response")
    """Time-out from the end of the request to the head of the response."""
    idle_s: Annotated[Duration | None, GIVEN] = Field(None, alias="idle")
    """Time-out between two parts of a body, or of a tunnel."""


class RouteMatch(Section):
    """Conditions for a request to match a route. All of them must hold."""

    host: Annotated[RouteHost | None, GIVEN] = None
    """
    Host of the request, without port. *.example.com matches the subdomains, without example.com.
    Any host when absent.
    """
    path: RoutePath
    """An exact path such as /x, or a prefix such as /x/*, which matches /x and all paths below."""
    methods: Annotated[Annotated[RouteMethods, SOME] | None, GIVEN] = None
    """
    Request methods; GET includes HEAD. When absent, all that the gateway knows (docs/proxying.md
    lists them), and others are answered 501; with the word any, the others go to the app too. A
    method of none of the routes of the same host and path is answered 405.
    """

    @property
    def named_methods(self) -> frozenset[str] | None:
        """The methods that are listed; None where the route takes all."""
        return None if self.takes_any_method else self.methods

    @property
    def takes_any_method(self) -> bool:
        """Whether the route takes methods that the gateway does not know."""
        return self.methods == ANY_METHOD


class RouteSettings(Section):
    """
    A route: where requests go, and which callers may make them. The host decides first: a named
    host takes all requests for paths of its routes. Then an exact path goes before a prefix, and a
    longer prefix before a shorter one. Methods choose among routes of the same host and path: named
    methods before any, then the order of the file.
    """

    name: Name
    """Unique name of the route, for logs and metrics."""
    match: RouteMatch
    """Which requests the route matches."""
    auth: Auth = Auth.REQUIRED
    """
    Authentication: required; optional (an anonymous request passes, an invalid credential is
    refused); or none, for a public route.
    """
    accept: Annotated[tuple[AuthMethodName, ...], SOME] = (AuthMethod.SESSION, AuthMethod.DID_TOKEN)
    """
    Kinds of credentials that count on the route: session, did-token, api-key, jwt,
    client-certificate. The default is the kinds that users have; others are for programs.
    """
    allow: Annotated[RuleList | None, GIVEN] = None
    """
    Rules for authenticated callers, of which one must match. All authenticated callers may pass
    when absent.
    """
    deny: Annotated[RuleList | None, GIVEN] = None
    """Rules for callers to refuse. They take precedence over `allow`."""
    limits: Annotated[tuple[Name, ...] | None, GIVEN] = None
    """Names of limits. The limit named `default` when absent; [] for none."""
    cost: Cost = 1
    """
    How many requests one of this route counts as, for its limits; or from-answer: one is charged
    before, and the rest by the field X-Gateway-Cost of the app's answer.
    """
    upstream: Annotated[Name | None, GIVEN] = None
    """
    Name of the upstream. Without one, the route is only for forward-auth checks of a trusted proxy.
    """
    forward_credentials: Flag = False
    """
    Whether the app receives `Authorization: Bearer` and the session cookie. Off by default: an app
    that has them can act as the user elsewhere.
    """
    encoded_slashes: Literal["refuse", "keep"] = "refuse"
    """
    Whether paths with %2F or %5C are refused or kept. Apps may decode them to a slash, and then see
    another path than the one that was authorised.
    """
    upgrades: Annotated[tuple[UpgradeToken, ...], GIVEN] = ("websocket",)
    """Protocols that a connection may upgrade to (RFC 9110 section 7.8). [] for none."""
    strip_prefix: Annotated[Prefix | None, GIVEN] = None
    """
    Prefix to remove from the path: with /api, the app receives /api/users as /users, and the prefix
    in X-Forwarded-Prefix.
    """
    rewrite: Annotated[PathStart | None, GIVEN] = None
    """
    Replacement for the path in `match`: on a route for /api/*, with /v2, the app receives
    /api/users as /v2/users.
    """
    timeouts: RouteTimeouts = RouteTimeouts()
    """Time-outs of this route."""
    cors: Annotated[CorsSettings | None, GIVEN] = None
    """
    Pages of other origins that may use the route (CORS). When absent, none may, and a preflight is
    a request like any other.
    """

    @property
    def upstream_path(self) -> str:
        """The path in `match` as the app sees it, in the same notation."""
        path = self.match.path.removesuffix("/*")
        end = "/*" if self.match.path.endswith("/*") else ""
        if self.rewrite is not None:
            return (self.rewrite.rstrip("/") + end) or "/"
        return (path.removeprefix(self.strip_prefix or "") + end) or "/"


class Settings(Section):
    """A whole config file."""

    # An absent section has its defaults; only public_url has none.
    model_config = ConfigDict(json_schema_extra={"required": ["server"]})

    server: ServerSettings
    """Listeners for clients, and how their requests are received."""
    admin: AdminSettings | None = AdminSettings()
    """Private listener: health, metrics and the operators' API. null switches it off."""
    log: LogSettings = LogSettings()
    """The gateway's own log, on standard error, and the access log, on standard output."""
    audit: AuditSettings | None = None
    """The audit file: decisions about identities. None when absent or empty."""
    redis: RedisSettings
    """Redis, the store that all gateways share."""
    magic: MagicSettings = MagicSettings()
    """The app's account at Magic."""
    session: SessionSettings = SessionSettings()
    """Sessions: their cookie, their lifetime and the keys that seal them."""
    identity: IdentitySettings = IdentitySettings()
    """Identity of callers, and the fields that tell it to apps."""
    login: LoginSettings = LoginSettings()
    """Login page: its looks, its texts and its sign-in methods."""
    pages: PagesSettings = PagesSettings()
    """The HTML of the gateway's own pages."""
    credentials: CredentialSettings = CredentialSettings()
    """Further kinds of credentials, off by default. A route lists those it takes in `accept`."""
    hooks: HooksSettings = HooksSettings()
    """Webhooks, which tell other systems of logins. None by default."""
    limits: Mapping[Name, LimitSettings] = {}
    """Rate limits by name. The one named `default` applies to every route that lists none."""
    upstreams: Mapping[Name, UpstreamSettings] = {}
    """Apps behind the gateway, by name."""
    routes: tuple[RouteSettings, ...] = ()
    """Routes. A request that none of them matches is answered 404."""

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, data: object) -> object:
        """Add the required sections, and the defaults that follow from other keys."""
        if isinstance(data, dict):
            data = {"server": {}, "redis": {}, **data}
        return with_defaults(Draft(data)).data
