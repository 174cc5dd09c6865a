"""Lints of routes and of the rules about callers; see `gateway.config.lint`."""

from collections.abc import Callable, Iterator

from gateway.authz.rules import is_in_one_of
from gateway.config.compile import with_head
from gateway.config.hidden_routes import HiddenRoutes
from gateway.config.problems import KeyPath
from gateway.config.rules import RuleSettings
from gateway.config.schema import RouteSettings, Settings
from gateway.core.route import Auth

LintFindings = Iterator[tuple[KeyPath, str, str]]
"""Keys, messages and remedies."""

Lint = Callable[[Settings], LintFindings]


def routes(settings: Settings) -> Iterator[tuple[KeyPath, RouteSettings]]:
    """Iterate over the routes, with their keys."""
    return ((("routes", place), route) for place, route in enumerate(settings.routes))


def is_checked_only(settings: Settings, route: RouteSettings) -> bool:
    """Whether ``route`` leads nowhere: it is for the checks of a proxy (forward-auth)."""
    is_dashboard = settings.admin is not None and settings.admin.route == route.name
    return route.upstream is None and not is_dashboard


def _rules(settings: Settings) -> Iterator[tuple[KeyPath, RouteSettings, RuleSettings]]:
    for key, route in routes(settings):
        for name, rules in (("allow", route.allow), ("deny", route.deny)):
            for place, rule in enumerate(rules or ()):
                yield (*key, name, place), route, rule


def _rules_that_never_match(settings: Settings) -> LintFindings:
    for key, route, rule in _rules(settings):
        for reason in _why_never(route, rule):
            yield key, f"never matches: {reason}", "correct the rule, or remove it"


def _why_never(route: RouteSettings, rule: RuleSettings) -> Iterator[str]:
    methods = route.match.named_methods
    if rule.methods and methods and not with_head(rule.methods) & with_head(methods):
        yield "the route has none of its methods"
    if rule.auth_methods and rule.auth_methods.isdisjoint(route.accept):
        yield "the route accepts none of its kinds of credentials"
    if rule.scopes and not any(kind.has_scopes for kind in rule.auth_methods or route.accept):
        yield "only API keys and JWTs have scopes"
    if rule.emails and rule.domains and not _any_email_in(rule.domains, rule.emails):
        yield "none of its emails is in one of its domains"
    if rule.issuers and rule.wallets and not _any_issuer_of(rule.wallets, rule.issuers):
        yield "none of its issuers belongs to one of its wallets"


def _any_email_in(domains: frozenset[str], emails: frozenset[str]) -> bool:
    return any(is_in_one_of(domains, email.partition("@")[2]) for email in emails)


def _any_issuer_of(wallets: frozenset[str], issuers: frozenset[str]) -> bool:
    return any(issuer.rpartition(":")[2] in wallets for issuer in issuers)


def _roles_not_assigned(settings: Settings) -> LintFindings:
    if settings.identity.roles_from_store:
        return
    known = {entry.role for entry in settings.identity.roles}
    for key, _, rule in _rules(settings):
        for role in sorted((rule.roles or frozenset()) - known):
            yield key, f"the role {role} is assigned to no caller", "add it to identity.roles"


def _permissions_of_no_role(settings: Settings) -> LintFindings:
    """Find what is permitted to a role that no rule gives, and rules that no role fulfils."""
    permitted = settings.identity.permissions
    if not settings.identity.roles_from_store and not _roles_from_jwts(settings):
        given = {entry.role for entry in settings.identity.roles}
        for role in sorted(permitted.keys() - given):
            at = ("identity", "permissions", role)
            yield at, f"the role {role} is assigned to no caller", "add it to identity.roles"
    known = frozenset[str]().union(*permitted.values())
    for key, _, rule in _rules(settings):
        for permission in sorted((rule.permissions or frozenset()) - known):
            yield key, f"no role permits {permission}", "add it to identity.permissions"


def _roles_from_jwts(settings: Settings) -> bool:
    return any(entry.claims.roles for entry in settings.credentials.jwt)


def _deny_without_allow(settings: Settings) -> LintFindings:
    for key, route in routes(settings):
        if route.deny and not route.allow and route.auth is not Auth.NONE:
            yield key, "deny without allow: all other callers may pass", "add allow"


def _networks_of_proxies(settings: Settings) -> LintFindings:
    if settings.server.client_ip == "peer" and settings.server.trusted_proxies:
        for key, _, rule in _rules(settings):
            if rule.networks:
                yield (
                    key,
                    "server.client_ip is peer: all clients behind a proxy have its address",
                    "set server.client_ip to the field that your proxies write",
                )


def _rules_lost_by_host(settings: Settings) -> LintFindings:
    hidden = HiddenRoutes(settings.routes)
    for number, (key, route) in enumerate(routes(settings)):
        if others := hidden.losing_rules(number):
            names = ", ".join(other.name for other in others)
            yield (
                key,
                f"on its host it takes the requests of {names}, without their rules",
                f"repeat those routes with host: {route.match.host}",
            )


RULE_LINTS: tuple[tuple[str, Lint], ...] = (
    ("rule-never-holds", _rules_that_never_match),
    ("role-nobody-has", _roles_not_assigned),
    ("permission-nobody-has", _permissions_of_no_role),
    ("denied-alone", _deny_without_allow),
    ("networks-of-proxies", _networks_of_proxies),
    ("host-hides-rules", _rules_lost_by_host),
)
"""Codes and functions, in the order of the report."""
