"""Compile settings to the values that the pipeline uses: routes, limits, roles, the login page."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from gateway.authn.login_redirect import LoginPage
from gateway.authn.return_to import ReturnTo
from gateway.authz.cors import policy
from gateway.config.limits import FROM_ANSWER, LimitSettings
from gateway.config.rules import CallerMatchSettings
from gateway.config.schema import RouteSettings, Settings
from gateway.config.upstreams import UpstreamSettings
from gateway.core.limit import BY_ADDRESS, Limit
from gateway.core.rate import Rate
from gateway.core.route import Cors, Grant, Route, Rule, UpstreamTimeouts
from gateway.revocation.name import AcceptedNames

DEFAULT = "default"
"""The limit of routes that list none."""
_COMMON_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
DASHBOARD = "gateway dashboard"
"""The upstream of the route of the dashboard; no name in a config can hold a space."""
LOGIN = "login"
"""The limit that sign-in attempts are charged to."""
_DEFAULT_LOGIN = LimitSettings.model_validate({"rate": "5/15minutes", "per": ["ip", "email"]})
_DEVELOPMENT_LOGIN = LimitSettings.model_validate({"rate": "1000/minute", "per": ["ip", "email"]})
"""Developers sign in again and again, and there is no Magic that would send emails."""
_IP_FACTOR = 10
"""Rate of an IP address relative to that of an email: users share addresses, but not emails."""


class LoginLimits(NamedTuple):
    """Limits that a sign-in attempt is charged to; None for one that is not counted."""

    ip: Limit | None
    contact: Limit | None
    """Limit of an email address or a phone number."""


def routes(settings: Settings) -> tuple[Route, ...]:
    """Compile the routes of the file, in its order, without those of the gateway's own pages."""
    limits = {name: limit(name, entry) for name, entry in settings.limits.items()}
    defaults = {name: _defaults(entry) for name, entry in settings.upstreams.items()}
    dashboard = settings.admin.route if settings.admin is not None else None
    return tuple(
        _dashboard(_route(entry, limits, _OF_DASHBOARD))
        if entry.name == dashboard
        else _route(entry, limits, defaults[entry.upstream] if entry.upstream else _NO_UPSTREAM)
        for entry in settings.routes
    )


def _dashboard(route: Route) -> Route:
    """Lead ``route`` to the dashboard, which does not see the path that it lies below."""
    prefix = route.path.removesuffix("/*")
    return replace(
        route,
        upstream=DASHBOARD,
        is_dashboard=True,
        prefix=prefix,
        hidden_prefix=prefix,
        upgrades=frozenset(),
    )


def login_page(settings: Settings) -> LoginPage | None:
    """Build the login page; None if it is disabled or has no publishable key to work with."""
    magic, server = settings.magic, settings.server
    if not settings.login.enabled or not (magic.publishable_key or magic.mode == "development"):
        return None
    return LoginPage(server.public_url, server.prefix, return_to(settings))


def return_to(settings: Settings) -> ReturnTo:
    """Build the check of ``return_to``, which prevents open redirects after signing in."""
    server = settings.server
    return ReturnTo(server.public_url, server.prefix, settings.login.return_to_hosts)


class _UpstreamDefaults(NamedTuple):
    """Values that a route inherits from its upstream."""

    timeouts: UpstreamTimeouts
    rewrites_host: bool
    passed_fields: frozenset[str] = frozenset()


_NO_UPSTREAM = _UpstreamDefaults(UpstreamTimeouts(), rewrites_host=False)
_OF_DASHBOARD = _UpstreamDefaults(UpstreamTimeouts(response_s=90.0), rewrites_host=False)
"""A reload may take a minute."""


def _defaults(entry: UpstreamSettings) -> _UpstreamDefaults:
    return _UpstreamDefaults(
        UpstreamTimeouts(**dict(entry.timeouts)),
        entry.host == "rewrite",
        frozenset(name.lower() for name in entry.headers.pass_),
    )


def limit(name: str, entry: LimitSettings) -> Limit:
    """Compile one entry of ``limits:``. A shadow limit refuses nothing, so it fails open."""
    is_shadow = entry.mode == "shadow"
    fails_open = is_shadow and entry.on_store_failure == "closed"
    rate = _rate(entry)
    return Limit(
        name=name,
        rate=rate.requests,
        window_s=rate.window_s,
        on_store_failure="open" if fails_open else entry.on_store_failure,
        algorithm=entry.algorithm,
        burst=entry.burst,
        per=entry.per,
        is_shadow=is_shadow,
        has_overrides=entry.overrides,
        is_approximate=entry.approximate,
    )


def _rate(entry: LimitSettings) -> Rate:
    """Return the rate; with ``concurrent``, so many requests, each by a lease of that length."""
    return entry.rate or Rate(entry.concurrent or 1, int(entry.lease_s))


def by_stage(limits: Iterable[Limit]) -> tuple[tuple[Limit, ...], tuple[Limit, ...]]:
    """Split limits into those charged before authentication, and those after it."""
    both: tuple[list[Limit], list[Limit]] = [], []
    for entry in limits:
        both[entry.needs_identity].append(entry)
    before, after = both
    return tuple(before), tuple(after)


def login_limits(settings: Settings) -> LoginLimits:
    """Compile the limit named ``login``, which has a default, and another in development mode."""
    is_development = settings.magic.mode == "development"
    default = _DEVELOPMENT_LOGIN if is_development else _DEFAULT_LOGIN
    entry = settings.limits.get(LOGIN, default)
    contact = replace(limit(LOGIN, entry), per=BY_ADDRESS)  # each counts one text that it is told
    if "email" not in entry.per:
        return LoginLimits(contact, None)
    if "ip" not in entry.per:
        return LoginLimits(None, contact)
    shared = entry.ip_rate or Rate(contact.rate * _IP_FACTOR, contact.window_s)
    ip = replace(contact, rate=shared.requests, window_s=shared.window_s, burst=None)
    return LoginLimits(ip, contact)


def accepted_names(settings: Settings) -> AcceptedNames:
    """Compile the names of programs and JWTs that can be revoked."""
    credentials = settings.credentials
    jwt_issuers = frozenset(entry.subject_prefix or entry.issuer for entry in credentials.jwt)
    certificates = credentials.client_certificates
    return AcceptedNames(jwt_issuers, certificates.lists if certificates else lambda _name: False)


def _route(entry: RouteSettings, limits: dict[str, Limit], upstream: _UpstreamDefaults) -> Route:
    named = entry.limits
    if named is None:
        named = (DEFAULT,) if DEFAULT in limits else ()
    used = [limits[name] for name in named]
    before, after = by_stage(each for each in used if not each.is_concurrency)
    return Route(
        name=entry.name,
        path=entry.match.path,
        upstream=entry.upstream or "",
        auth=entry.auth,
        accept=frozenset(entry.accept),
        host=entry.match.host,
        methods=entry.match.named_methods and with_head(entry.match.named_methods),
        takes_any_method=entry.match.takes_any_method,
        limits=before,
        identity_limits=after,
        concurrency=tuple(each for each in used if each.is_concurrency),
        cost=entry.cost if isinstance(entry.cost, int) else 1,
        tells_cost=entry.cost == FROM_ANSWER,
        forward_credentials=entry.forward_credentials,
        keep_encoded_slashes=entry.encoded_slashes == "keep",
        timeouts=_timeouts(entry, upstream.timeouts),
        upgrades=frozenset(entry.upgrades),
        prefix=_prefix(entry),
        new_prefix=entry.rewrite or "",
        hidden_prefix=entry.strip_prefix or "",
        passed_fields=upstream.passed_fields,
        rewrites_host=upstream.rewrites_host,
        allow=tuple(map(_rule, entry.allow or ())),
        deny=tuple(map(_rule, entry.deny or ())),
        cors=_cors(entry),
    )


def _cors(entry: RouteSettings) -> Cors | None:
    cors = entry.cors
    if cors is None:
        return None
    methods = cors.methods or entry.match.named_methods
    return policy(
        cors.origins,
        methods=with_head(methods) if methods else _COMMON_METHODS,
        headers=cors.headers,
        expose=cors.expose,
        credentials=cors.credentials,
        max_age_s=cors.max_age_s,
        passes_preflights=cors.preflight == "pass",
    )


def grants(settings: Settings) -> tuple[Grant, ...]:
    """Compile ``identity.roles``: each entry grants a role to the callers that match its rule."""
    return tuple(Grant(entry.role, _rule(entry)) for entry in settings.identity.roles)


def permitted(settings: Settings) -> Mapping[str, frozenset[str]]:
    """Compile ``identity.permissions``: what each role permits."""
    return dict(settings.identity.permissions)


def _rule(entry: CallerMatchSettings) -> Rule:
    matchers = {name: value for name, value in dict(entry).items() if value and name != "role"}
    if "methods" in matchers:
        matchers["methods"] = with_head(matchers["methods"])
    return Rule(**matchers)


def _prefix(entry: RouteSettings) -> str:
    """Prefix that is replaced in the paths of a route; empty for none."""
    if entry.rewrite is not None:
        return entry.match.path.removesuffix("/*").removesuffix("/")
    return entry.strip_prefix or ""


def _timeouts(route: RouteSettings, upstream: UpstreamTimeouts) -> UpstreamTimeouts:
    """Time-outs of the route, completed by those of its upstream."""
    given = route.timeouts.model_fields_set
    if not given:
        return upstream
    return upstream._replace(**{name: getattr(route.timeouts, name) for name in given})


def with_head(methods: frozenset[str]) -> frozenset[str]:
    """Add HEAD to GET: it asks for the same response (RFC 9110 section 9.3.2)."""
    return methods | {"HEAD"} if "GET" in methods else methods
