"""
Lints of a valid config: warnings about what is allowed, but probably not meant.

To add a lint: a function here, its line with a code in `LINTS`, and what it means in `lints.toml`.
Messages say what can happen, and the remedy.
"""

import stat
from contextlib import suppress
from pathlib import Path

from gateway.config.addresses import is_loopback_http
from gateway.config.colours import contrast
from gateway.config.compile import login_page
from gateway.config.hook_checks import HOOK_LINTS
from gateway.config.lint_caps import CAP_LINTS
from gateway.config.lint_limits import LIMIT_LINTS, counts_before_authentication
from gateway.config.lint_lists import LIST_LINTS
from gateway.config.lint_network import NETWORK_LINTS
from gateway.config.lint_paths import PATH_LINTS
from gateway.config.lint_reach import REACH_LINTS
from gateway.config.lint_rules import RULE_LINTS, Lint, LintFindings, is_checked_only, routes
from gateway.config.listen import UnixPath, is_private
from gateway.config.paths import is_under
from gateway.config.problems import KeyPath, Problem
from gateway.config.schema import Settings
from gateway.core.identity import AuthMethod
from gateway.core.route import Auth
from gateway.routing.client_address import UNIX_PEERS

_MIN_CONTRAST = 3
"""Contrast of controls against the page (WCAG 2.2 section 1.4.11)."""
_LARGE_SKEW_S = 3600.0
_SHORT_IDLE_S = 60.0


def _unchecked_credentials_forwarded(settings: Settings) -> LintFindings:
    for key, route in routes(settings):
        if route.auth is Auth.NONE and route.forward_credentials:
            yield key, "a public route forwards credentials unchecked", "use auth: optional"


def _no_limit_on_authentication(settings: Settings) -> LintFindings:
    for key, route in routes(settings):
        if route.auth is not Auth.NONE and not counts_before_authentication(settings, route):
            yield (
                key,
                "no rate limit before authentication: credentials are checked at any rate",
                "add limits",
            )


def _public_by_default(settings: Settings) -> LintFindings:
    for key, route in routes(settings):
        if route.auth is Auth.NONE and route.match.path == "/*":
            yield (
                key,
                "all paths without a route of their own are public, future ones included",
                "list the public paths",
            )


def _secrets_over_http(settings: Settings) -> LintFindings:
    if settings.magic.mode == "live" and settings.server.public_url.startswith("http:"):
        yield (
            ("server", "public_url"),
            "over http, cookies and tokens can be read in transit",
            "use https",
        )
    api_url = settings.magic.api_url or "https:"
    if api_url.startswith("http:") and not is_loopback_http(api_url):
        yield (
            ("magic", "api_url"),
            "over http, the secret key can be read in transit",
            "use https",
        )
    endpoint = settings.magic.endpoint
    if endpoint.startswith("http:") and not is_loopback_http(endpoint):
        yield (
            ("magic", "endpoint"),
            "over http, a network attacker can sign in as any user",
            "use https",
        )


def _low_contrast_accent(settings: Settings) -> LintFindings:
    for key, background in (("accent", "#ffffff"), ("accent_dark", "#181b21")):
        if contrast(getattr(settings.login, key), background) < _MIN_CONTRAST:
            yield (
                ("login", key),
                f"contrast of buttons is below {_MIN_CONTRAST}:1 (WCAG 2.2, 1.4.11)",
                "choose a colour that differs more from the page",
            )


def _admin_not_on_loopback(settings: Settings) -> LintFindings:
    admin = settings.admin
    if admin is None or is_private(admin.listen):
        return
    if admin.tls is None or not (admin.token or admin.tls.names):
        yield (
            ("admin", "listen"),
            "not on loopback",
            "make sure that only your own machines can reach it",
        )


def _admin_route_over_http(settings: Settings) -> LintFindings:
    url = settings.server.public_url
    is_routed = settings.admin is not None and settings.admin.route is not None
    if is_routed and url.startswith("http:") and not is_loopback_http(url):
        yield (
            ("admin", "route"),
            "over http, a network attacker can act as an operator",
            "use https in server.public_url",
        )


def _protected_path_reached_publicly(settings: Settings) -> LintFindings:
    """Find rewritten public routes whose paths, as the app sees them, another route protects."""
    for key, public in routes(settings):
        if public.auth is not Auth.NONE or (public.strip_prefix, public.rewrite) == (None, None):
            continue
        for private in settings.routes:
            if private.upstream != public.upstream or private.auth is Auth.NONE:
                continue
            if _overlap(public.upstream_path, private.upstream_path):
                yield (
                    key,
                    f"public, and its rewritten paths may be those that {private.name} protects",
                    "rewrite it to other paths",
                )
                break


def _overlap(one: str, other: str) -> bool:
    return _covers(one, other) or _covers(other, one)


def _covers(wide: str, path: str) -> bool:
    if wide.endswith("/*"):
        return is_under(path, wide.removesuffix("/*"))
    return wide.removesuffix("/") == path.removesuffix("/*").removesuffix("/")


def _unverified_tls(settings: Settings) -> LintFindings:
    for name, upstream in settings.upstreams.items():
        if not upstream.tls.verify:
            yield (
                ("upstreams", name, "tls", "verify"),
                "a network attacker (MITM) can read and alter it all",
                "name the CA in tls.ca",
            )


def _cors_credentials_over_http(settings: Settings) -> LintFindings:
    if settings.server.public_url.startswith("http:"):
        return
    for key, route in routes(settings):
        if route.cors is not None and route.cors.credentials:
            for place, origin in enumerate(route.cors.origins):
                if origin.startswith("http:") and not is_loopback_http(origin):
                    yield (
                        (*key, "cors", "origins", place),
                        "a network attacker can alter that page and act with sessions",
                        "use https",
                    )


def _login_limit_can_be_skipped(settings: Settings) -> LintFindings:
    if not settings.session.require_attempt and "login" in settings.limits:
        yield (
            ("session", "require_attempt"),
            "false: clients can skip {prefix}/login/attempt, and with it limits.login",
            "set it to true",
        )


def _mixed_tls(settings: Settings) -> LintFindings:
    for name, upstream in settings.upstreams.items():
        schemes = {server.scheme for server in upstream.servers}
        if {"http", "https"} <= schemes:
            yield ("upstreams", name, "servers"), "some use https, some http", "use https for all"


def _health_checks_of_one_server(settings: Settings) -> LintFindings:
    for name, upstream in settings.upstreams.items():
        if upstream.health is not None and len(upstream.servers) == 1:
            yield (
                ("upstreams", name, "health"),
                "has no effect: a single server gets all requests, healthy or not",
                "add a server, or remove it",
            )


def _world_readable_key(settings: Settings) -> LintFindings:
    tls = settings.server.tls
    if tls is None:
        return
    at = ("server", "tls")
    keys: list[tuple[KeyPath, str]] = [((*at, "key"), tls.key)] if tls.key else []
    keys += [((*at, "certificates", n), pair.key) for n, pair in enumerate(tls.certificates)]
    for key, path in keys:
        with suppress(OSError):  # the config may be checked on another machine than it runs on
            if Path(path).stat().st_mode & stat.S_IROTH:
                yield key, "all users of this machine can read the private key", "chmod o-r"


def _tls_without_https(settings: Settings) -> LintFindings:
    if settings.server.tls and settings.server.public_url.startswith("http:"):
        yield ("server", "public_url"), "http, although the gateway speaks TLS", "use https"


def _large_clock_skew(settings: Settings) -> LintFindings:
    if settings.identity.clock_skew_s > _LARGE_SKEW_S:
        yield ("identity", "clock_skew"), "more than an hour", "set the clock by NTP instead"


def _ineffective_idle_time(settings: Settings) -> LintFindings:
    idle_s, lifetime_s = settings.session.idle_s, settings.session.lifetime_s
    if idle_s is None:
        return
    if idle_s < _SHORT_IDLE_S:
        yield (
            ("session", "idle"),
            "under a minute: users are signed out while they read a page",
            "use a longer time",
        )
    if lifetime_s is not None and idle_s >= lifetime_s:
        yield (
            ("session", "idle"),
            "has no effect: session.lifetime ends sessions earlier",
            "use a shorter time",
        )


def _cookie_without_host_prefix(settings: Settings) -> LintFindings:
    has_prefix = settings.session.cookie.lower().startswith("__host-")
    if settings.server.public_url.startswith("https:") and not has_prefix:
        yield (
            ("session", "cookie"),
            "without the prefix __Host-, sibling hosts can set it too, and so lock users out",
            "use a name with the prefix",
        )


def _untrusted_unix_peers(settings: Settings) -> LintFindings:
    server = settings.server
    listens = any(isinstance(address, UnixPath) for address in server.listen)
    if listens and UNIX_PEERS not in server.trusted_proxies:
        yield (
            ("server", "trusted_proxies"),
            "without unix:, all requests through a unix socket count as one client",
            "add unix:",
        )


def _forward_auth_as_one_client(settings: Settings) -> LintFindings:
    has_checks = any(is_checked_only(settings, route) for route in settings.routes)
    if has_checks and settings.server.client_ip in ("peer", "proxy-protocol"):
        yield (
            ("server", "client_ip"),
            "all forward-auth checks count as one client, the proxy",
            "use x-forwarded-for",
        )


def _shared_audience(settings: Settings) -> LintFindings:
    if settings.identity.assertion is None:
        return
    taken = {entry.audience or name for name, entry in settings.upstreams.items()}
    for key, route in routes(settings):
        if is_checked_only(settings, route) and route.name in taken:
            yield (
                (*key, "name"),
                "also the audience of an upstream, which accepts its assertions",
                "choose another name",
            )


def _login_page_without_key(settings: Settings) -> LintFindings:
    signs_in = settings.login.enabled and login_page(settings) is None
    needs_session = any(
        route.auth is not Auth.NONE and AuthMethod.SESSION in route.accept
        for route in settings.routes
    )
    if signs_in and needs_session:
        yield (
            ("magic", "publishable_key"),
            "without it the login page can sign in no user",
            "set it, or login.enabled: false",
        )


def _passed_identity(settings: Settings) -> LintFindings:
    for name, entry in settings.upstreams.items():
        for place, field in enumerate(entry.headers.pass_):
            yield (
                ("upstreams", name, "headers", "pass", place),
                f"clients can write {field} themselves: the app must not trust it",
                "remove it, or make sure that a proxy in front writes it",
            )


LINTS: tuple[tuple[str, Lint], ...] = (
    ("public-with-credentials", _unchecked_credentials_forwarded),
    ("checked-without-limit", _no_limit_on_authentication),
    ("public-by-default", _public_by_default),
    ("secrets-in-the-clear", _secrets_over_http),
    ("pale-accent", _low_contrast_accent),
    ("admin-for-everybody", _admin_not_on_loopback),
    ("admin-route-over-http", _admin_route_over_http),
    ("private-by-another-path", _protected_path_reached_publicly),
    ("unverified-tls", _unverified_tls),
    ("mixed-tls", _mixed_tls),
    ("cors-in-the-clear", _cors_credentials_over_http),
    ("login-limit-not-demanded", _login_limit_can_be_skipped),
    ("checks-without-choice", _health_checks_of_one_server),
    ("key-for-everybody", _world_readable_key),
    ("tls-without-https", _tls_without_https),
    ("clocks-apart", _large_clock_skew),
    ("idle-to-no-effect", _ineffective_idle_time),
    ("foreign-session-cookies", _cookie_without_host_prefix),
    ("unix-peers-untrusted", _untrusted_unix_peers),
    ("asked-as-one-client", _forward_auth_as_one_client),
    ("one-audience-for-two", _shared_audience),
    ("login-without-key", _login_page_without_key),
    ("foreign-identity-passed", _passed_identity),
    *RULE_LINTS,
    *PATH_LINTS,
    *REACH_LINTS,
    *NETWORK_LINTS,
    *CAP_LINTS,
    *LIMIT_LINTS,
    *LIST_LINTS,
    *HOOK_LINTS,
)
"""Codes and functions, in the order of the report."""


def lint(settings: Settings) -> tuple[Problem, ...]:
    """Run all lints on ``settings``."""
    return tuple(
        Problem(key, message, remedy=remedy, code=code)
        for code, find in LINTS
        for key, message, remedy in find(settings)
    )
