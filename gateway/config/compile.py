"""Settings to what the journey knows: routes, limits, the login page."""

from dataclasses import replace
from typing import NamedTuple

from gateway.authn.login_redirect import LoginPage
from gateway.authn.return_to import ReturnTo
from gateway.authz.cors import policy
from gateway.config.limits import LimitSettings
from gateway.config.rules import CallerMatchSettings
from gateway.config.schema import RouteSettings, Settings, UpstreamSettings
from gateway.core.limit import Limit
from gateway.core.route import (
    Cors,
    Grant,
    Route,
    Rule,
    UpstreamTimeouts,
)

_DEFAULT = "default"
_USUAL_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_LOGIN = "login"
_USUAL_LOGIN = LimitSettings.model_validate({"rate": "5/15minutes", "per": ["ip", "email"]})
_IPS_SHARE = 10
"""How many times as often an address may try as one email: people share addresses, not emails."""


class LoginLimits(NamedTuple):
    """What attempts to sign in are charged to; None where that is not counted."""

    ip: Limit | None
    contact: Limit | None
    """For an email address or a phone number."""


def routes(settings: Settings) -> tuple[Route, ...]:
    """The routes of the file, in its order; the gateway's own pages are not among them."""
    limits = {name: limit(name, entry) for name, entry in settings.limits.items()}
    apps = {name: _app(entry) for name, entry in settings.upstreams.items()}
    return tuple(
        _route(entry, limits, apps[entry.upstream] if entry.upstream else _NO_APP)
        for entry in settings.routes
    )


def login_page(settings: Settings) -> LoginPage | None:
    """The page that people are sent to; None where there is none that could work."""
    magic, server = settings.magic, settings.server
    if not settings.login.enabled or not (magic.publishable_key or magic.mode == "development"):
        return None
    return LoginPage(server.public_url, server.prefix, return_to(settings))


def return_to(settings: Settings) -> ReturnTo:
    """Where people may be led once they have signed in."""
    server = settings.server
    return ReturnTo(server.public_url, server.prefix, settings.login.return_to_hosts)


class _UpstreamDefaults(NamedTuple):
    """What routes take over from their upstream."""

    timeouts: UpstreamTimeouts
    rewrites_host: bool


_NO_APP = _UpstreamDefaults(UpstreamTimeouts(), rewrites_host=False)


def _app(entry: UpstreamSettings) -> _UpstreamDefaults:
    return _UpstreamDefaults(UpstreamTimeouts(**dict(entry.timeouts)), entry.host == "rewrite")


def limit(name: str, entry: LimitSettings) -> Limit:
    """One entry of ``limits:``."""
    return Limit(
        name=name,
        rate=entry.rate.requests,
        window_s=entry.rate.window_s,
        on_store_failure=entry.on_store_failure,
    )


def login_limits(settings: Settings) -> LoginLimits:
    """The limit named ``login``, which there always is."""
    entry = settings.limits.get(_LOGIN, _USUAL_LOGIN)
    contact = limit(_LOGIN, entry)
    if "email" not in entry.per:
        return LoginLimits(contact, None)
    if "ip" not in entry.per:
        return LoginLimits(None, contact)
    shared = entry.ip_rate or entry.rate._replace(requests=entry.rate.requests * _IPS_SHARE)
    ip = replace(contact, rate=shared.requests, window_s=shared.window_s)
    return LoginLimits(ip, contact)


def _route(entry: RouteSettings, limits: dict[str, Limit], app: _UpstreamDefaults) -> Route:
    named = entry.limits
    if named is None:
        named = (_DEFAULT,) if _DEFAULT in limits else ()
    return Route(
        name=entry.name,
        path=entry.match.path,
        upstream=entry.upstream or "",
        auth=entry.auth,
        accept=frozenset(entry.accept),
        host=entry.match.host,
        methods=entry.match.methods and with_head(entry.match.methods),
        limits=tuple(limits[name] for name in named),
        forward_credentials=entry.forward_credentials,
        keep_encoded_slashes=entry.encoded_slashes == "keep",
        timeouts=_timeouts(entry, app.timeouts),
        upgrades=frozenset(entry.upgrades),
        prefix=_prefix(entry),
        new_prefix=entry.rewrite or "",
        hidden_prefix=entry.strip_prefix or "",
        rewrites_host=app.rewrites_host,
        allow=tuple(map(_rule, entry.allow or ())),
        deny=tuple(map(_rule, entry.deny or ())),
        cors=_cors(entry),
    )


def _cors(entry: RouteSettings) -> Cors | None:
    said = entry.cors
    if said is None:
        return None
    methods = said.methods or entry.match.methods
    return policy(
        said.origins,
        methods=with_head(methods) if methods else _USUAL_METHODS,
        headers=said.headers,
        expose=said.expose,
        credentials=said.credentials,
        max_age_s=said.max_age_s,
        passes_preflights=said.preflight == "pass",
    )


def grants(settings: Settings) -> tuple[Grant, ...]:
    """Who has which role."""
    return tuple(Grant(entry.role, _rule(entry)) for entry in settings.identity.roles)


def _rule(entry: CallerMatchSettings) -> Rule:
    said = {name: value for name, value in dict(entry).items() if value and name != "role"}
    if "methods" in said:
        said["methods"] = with_head(said["methods"])
    return Rule(**said)


def _prefix(entry: RouteSettings) -> str:
    """What is replaced of the paths of a route; empty for nothing."""
    if entry.rewrite is not None:
        return entry.match.path.removesuffix("/*").removesuffix("/")
    return entry.strip_prefix or ""


def _timeouts(route: RouteSettings, upstream: UpstreamTimeouts) -> UpstreamTimeouts:
    """Those of the route, and for the rest those of its upstream."""
    given = route.timeouts.model_fields_set
    if not given:
        return upstream
    return upstream._replace(**{name: getattr(route.timeouts, name) for name in given})


def with_head(methods: frozenset[str]) -> frozenset[str]:
    """HEAD asks for what GET would answer (RFC 9110 section 9.3.2), so it needs the same rights."""
    return methods | {"HEAD"} if "GET" in methods else methods
