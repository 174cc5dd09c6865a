"""What is allowed, and probably not meant."""

import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gateway.authz.rules import is_in_one_of
from gateway.config.addresses import is_loopback, is_loopback_http
from gateway.config.colours import contrast
from gateway.config.compile import with_head
from gateway.config.listen import UnixPath
from gateway.config.paths import is_under
from gateway.config.rules import RuleSettings
from gateway.config.schema import RouteSettings, Settings
from gateway.core.identity import AuthMethod
from gateway.core.route import Auth
from gateway.routing.client_address import UNIX_PEERS

_LEAST_CONTRAST = 3
"""Of what is not text: WCAG 2.2 section 1.4.11."""


class Finding(NamedTuple):
    """A warning. ``code`` is stable: programs may know it."""

    code: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message} [{self.code}]"


LintFindings = Iterator[tuple[str, str]]
"""Keys, and what is odd about them."""


def _routes(settings: Settings) -> Iterator[tuple[str, RouteSettings]]:
    return (
        (f"routes[{place}] ({route.name})", route) for place, route in enumerate(settings.routes)
    )


def _public_with_credentials(settings: Settings) -> LintFindings:
    for key, route in _routes(settings):
        if route.auth is Auth.NONE and route.forward_credentials:
            yield key, "a public route passes on credentials that nobody has checked"


def _checked_without_limit(settings: Settings) -> LintFindings:
    for key, route in _routes(settings):
        limited = route.limits or (route.limits is None and "default" in settings.limits)
        if route.auth is not Auth.NONE and not limited:
            yield key, "without a limit anyone may have signatures checked as fast as they can send"


def _public_by_default(settings: Settings) -> LintFindings:
    for key, route in _routes(settings):
        if route.auth is Auth.NONE and route.match.path == "/*":
            yield key, "whatever no other route names is public, pages of tomorrow included"


def _secrets_in_the_clear(settings: Settings) -> LintFindings:
    if settings.magic.mode == "live" and settings.server.public_url.startswith("http:"):
        yield "server.public_url", "over http, cookies and tokens can be read on the way"
    api_url = settings.magic.api_url or "https:"
    if api_url.startswith("http:") and not is_loopback_http(api_url):
        yield "magic.api_url", "over http, the secret key can be read on the way"
    endpoint = settings.magic.endpoint
    if endpoint.startswith("http:") and not is_loopback_http(endpoint):
        yield "magic.endpoint", "over http, whoever stands between signs in as anybody"


def _pale_accent(settings: Settings) -> LintFindings:
    for key, ground in (("accent", "#ffffff"), ("accent_dark", "#181b21")):
        if contrast(getattr(settings.login, key), ground) < _LEAST_CONTRAST:
            yield f"login.{key}", "buttons can hardly be told from the page (WCAG 2.2, 1.4.11)"


def _admin_for_everybody(settings: Settings) -> LintFindings:
    if settings.admin and not is_loopback(settings.admin.listen.host):
        yield "admin.listen", "not on loopback: see that only your own machines can reach it"


def _private_by_another_path(settings: Settings) -> LintFindings:
    """What an app sees as one path may be public and private here, under two names."""
    for key, public in _routes(settings):
        if public.auth is not Auth.NONE or (public.strip_prefix, public.rewrite) == (None, None):
            continue
        for private in settings.routes:
            if private.upstream != public.upstream or private.auth is Auth.NONE:
                continue
            if _overlap(_path_upstream(public), _path_upstream(private)):
                yield key, f"its paths may be to the app what {private.name} protects"
                break


def _path_upstream(route: RouteSettings) -> str:
    """The path of ``route`` as its app sees it, in the same notation."""
    path, end = route.match.path.removesuffix("/*"), "/*" * route.match.path.endswith("/*")
    if route.rewrite is not None:
        return route.rewrite + end or "/"
    return path.removeprefix(route.strip_prefix or "") + end or "/"


def _overlap(one: str, other: str) -> bool:
    return _covers(one, other) or _covers(other, one)


def _covers(wide: str, path: str) -> bool:
    if wide.endswith("/*"):
        return is_under(path, wide.removesuffix("/*"))
    return wide.removesuffix("/") == path.removesuffix("/*").removesuffix("/")


def _unverified_tls(settings: Settings) -> LintFindings:
    for name, upstream in settings.upstreams.items():
        if not upstream.tls.verify:
            yield f"upstreams.{name}.tls.verify", "whoever stands between reads and writes along"


def _cors_in_the_clear(settings: Settings) -> LintFindings:
    if settings.server.public_url.startswith("http:"):
        return
    for key, route in _routes(settings):
        if route.cors is not None and route.cors.credentials:
            for place, origin in enumerate(route.cors.origins):
                if origin.startswith("http:") and not is_loopback_http(origin):
                    where = f"{key}.cors.origins[{place}]"
                    yield where, "whoever stands between can write that page, and act with sessions"


def _login_without_count(settings: Settings) -> LintFindings:
    if not settings.session.require_attempt and "login" in settings.limits:
        yield (
            "session.require_attempt",
            "false: who skips /login/attempt is not held to limits.login",
        )


def _mixed_tls(settings: Settings) -> LintFindings:
    for name, upstream in settings.upstreams.items():
        schemes = {server.scheme for server in upstream.servers}
        if {"http", "https"} <= schemes:
            yield f"upstreams.{name}.servers", "some over https, some not: which one is luck"


def _checks_without_choice(settings: Settings) -> LintFindings:
    for name, upstream in settings.upstreams.items():
        if upstream.health is not None and len(upstream.servers) == 1:
            yield f"upstreams.{name}.health", "a single server gets all requests, ill or not"


def _key_for_everybody(settings: Settings) -> LintFindings:
    tls = settings.server.tls
    if tls is None:
        return
    keys = [("server.tls.key", tls.key)] if tls.key else []
    keys += [(f"server.tls.certificates[{n}]", c.key) for n, c in enumerate(tls.certificates)]
    for key, path in keys:
        with suppress(OSError):  # files of another machine are judged there
            if Path(path).stat().st_mode & stat.S_IROTH:
                yield key, "everybody on this machine can read the private key"


def _tls_without_https(settings: Settings) -> LintFindings:
    if settings.server.tls and settings.server.public_url.startswith("http:"):
        yield "server.public_url", "http, though the gateway speaks TLS"


_LARGE_SKEW_S = 3600.0


def _clocks_apart(settings: Settings) -> LintFindings:
    if settings.identity.clock_skew_s > _LARGE_SKEW_S:
        yield "identity.clock_skew", "clocks that are an hour apart are ill: set them by NTP"


_SHORT_IDLE_S = 60.0


def _idle_to_no_effect(settings: Settings) -> LintFindings:
    idle_s, lifetime_s = settings.session.idle_s, settings.session.lifetime_s
    if idle_s is None:
        return
    if idle_s < _SHORT_IDLE_S:
        yield "session.idle", "who reads a page for a minute is signed out meanwhile"
    if lifetime_s is not None and idle_s >= lifetime_s:
        yield "session.idle", "never the first to end a session: session.lifetime is"


def _foreign_session_cookies(settings: Settings) -> LintFindings:
    is_guarded = settings.session.cookie.lower().startswith("__host-")
    if settings.server.public_url.startswith("https:") and not is_guarded:
        yield "session.cookie", "without __Host- sibling hosts can set a second one, and lock out"


def _unix_peers_untrusted(settings: Settings) -> LintFindings:
    server = settings.server
    listens = any(isinstance(place, UnixPath) for place in server.listen)
    if listens and UNIX_PEERS not in server.trusted_proxies:
        yield (
            "server.trusted_proxies",
            "without unix: all who come through a unix socket are one client",
        )


_PROGRAMS = frozenset({AuthMethod.API_KEY, AuthMethod.JWT})
"""Credentials that may have scopes."""


def _rules(settings: Settings) -> Iterator[tuple[str, RouteSettings, RuleSettings]]:
    for key, route in _routes(settings):
        for name, rules in (("allow", route.allow), ("deny", route.deny)):
            for place, rule in enumerate(rules or ()):
                yield f"{key}.{name}[{place}]", route, rule


def _rules_that_never_hold(settings: Settings) -> LintFindings:
    for key, route, rule in _rules(settings):
        methods = route.match.methods
        if rule.methods and methods and not with_head(rule.methods) & with_head(methods):
            yield key, "never holds: the route is for none of its methods"
        if rule.auth_methods and rule.auth_methods.isdisjoint(route.accept):
            yield key, "never holds: the route accepts none of its kinds of credentials"
        if rule.scopes and _PROGRAMS.isdisjoint(rule.auth_methods or route.accept):
            yield key, "never holds: only API keys and JWTs have scopes"
        if rule.emails and rule.domains and not _some_mail(rule.emails, rule.domains):
            yield key, "never holds: none of its emails is of its domains"
        if rule.issuers and rule.wallets and not _some_wallet(rule.issuers, rule.wallets):
            yield key, "never holds: none of its issuers is one of its wallets"


def _some_mail(emails: frozenset[str], domains: frozenset[str]) -> bool:
    return any(is_in_one_of(domains, mail.partition("@")[2]) for mail in emails)


def _some_wallet(issuers: frozenset[str], wallets: frozenset[str]) -> bool:
    return any(issuer.rpartition(":")[2] in wallets for issuer in issuers)


def _roles_that_nobody_gives(settings: Settings) -> LintFindings:
    if settings.identity.roles_from_store:
        return
    known = {entry.role for entry in settings.identity.roles}
    for key, _, rule in _rules(settings):
        for role in sorted((rule.roles or frozenset()) - known):
            yield key, f"nobody has the role {role}: identity.roles does not give it"


def _denied_alone(settings: Settings) -> LintFindings:
    for key, route in _routes(settings):
        if route.deny and not route.allow and route.auth is not Auth.NONE:
            yield key, "deny without allow: whoever is not named may pass"


def _rules_by_address_of_proxies(settings: Settings) -> LintFindings:
    if settings.server.client_ip == "peer" and settings.server.trusted_proxies:
        for key, _, rule in _rules(settings):
            if rule.networks:
                yield key, "client_ip is peer: behind a proxy all clients have its address"


def _asked_as_one_client(settings: Settings) -> LintFindings:
    is_asked = any(route.upstream is None for route in settings.routes)
    if is_asked and settings.server.client_ip in ("peer", "proxy-protocol"):
        yield "server.client_ip", "whoever is asked about counts as the proxy that asks: one client"


def _one_audience_for_two(settings: Settings) -> LintFindings:
    if settings.identity.assertion is None:
        return
    taken = {entry.audience or name for name, entry in settings.upstreams.items()}
    for key, route in _routes(settings):
        if route.upstream is None and route.name in taken:
            yield f"{key}.name", "what is signed for its app is good for that of an upstream too"


LINTS: tuple[tuple[str, Callable[[Settings], LintFindings]], ...] = (
    ("public-with-credentials", _public_with_credentials),
    ("checked-without-limit", _checked_without_limit),
    ("public-by-default", _public_by_default),
    ("secrets-in-the-clear", _secrets_in_the_clear),
    ("pale-accent", _pale_accent),
    ("admin-for-everybody", _admin_for_everybody),
    ("private-by-another-path", _private_by_another_path),
    ("unverified-tls", _unverified_tls),
    ("mixed-tls", _mixed_tls),
    ("cors-in-the-clear", _cors_in_the_clear),
    ("login-limit-not-demanded", _login_without_count),
    ("checks-without-choice", _checks_without_choice),
    ("key-for-everybody", _key_for_everybody),
    ("tls-without-https", _tls_without_https),
    ("clocks-apart", _clocks_apart),
    ("idle-to-no-effect", _idle_to_no_effect),
    ("foreign-session-cookies", _foreign_session_cookies),
    ("rule-never-holds", _rules_that_never_hold),
    ("role-nobody-has", _roles_that_nobody_gives),
    ("denied-alone", _denied_alone),
    ("networks-of-proxies", _rules_by_address_of_proxies),
    ("unix-peers-untrusted", _unix_peers_untrusted),
    ("asked-as-one-client", _asked_as_one_client),
    ("one-audience-for-two", _one_audience_for_two),
)


def lint(settings: Settings) -> tuple[Finding, ...]:
    """What an operator should look at twice."""
    return tuple(
        Finding(code, key, message) for code, look in LINTS for key, message in look(settings)
    )
