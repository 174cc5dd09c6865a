"""
Checks between keys: errors that no single key shows.

To add a check: a function here, and its line with a code in `CHECKS`. The checks read the draft,
which may have any shape, so that an error in one place hides none in another. Messages name keys
and the remedy. They never show a value, which may be a secret; keys hold no placeholders, so they
may be shown.
"""

from collections.abc import Iterator

from gateway.config import addresses, listen
from gateway.config.admin_checks import ADMIN_CHECKS, admin_route
from gateway.config.check import ASSERTION_HEADER, Check, repeated, routes_of
from gateway.config.credential_checks import CREDENTIAL_CHECKS
from gateway.config.draft import Draft
from gateway.config.hook_checks import HOOK_CHECKS
from gateway.config.identity import IdentityHeaders
from gateway.config.limit_checks import LIMIT_CHECKS
from gateway.config.limits import FROM_ANSWER
from gateway.config.names import needs_https
from gateway.config.paths import is_under, prefix
from gateway.config.problems import KeyPath, Problem, Unreadable
from gateway.config.redis_checks import REDIS_CHECKS
from gateway.headers.fields import normalise_name

_REQUEST_MATCHERS = {"networks", "methods"}
"""Keys of a rule that need no authenticated caller."""
_FROM_A_PROXY = ("x-forwarded-for", "forwarded", "proxy-protocol")
_FORWARDING_KEYS = ("forward_credentials", "strip_prefix", "rewrite", "timeouts")
_OWN_ROUTES = "gateway-"
"""How the names of the routes to the gateway's own pages begin."""
_LOOPBACK = "development mode works on loopback only"
_PUBLIC = "not allowed with auth: none, which authenticates no caller"


def proxy_fields_need_trusted_proxies(draft: Draft) -> Iterator[Problem]:
    """Require trusted proxies for the client's address: any client can write such a field."""
    source = draft.text("server", "client_ip")
    if source in _FROM_A_PROXY and draft.at("server", "trusted_proxies") in (None, []):
        yield Problem(("server", "client_ip"), f"{source} needs server.trusted_proxies")


def development_stays_on_loopback(draft: Draft) -> Iterator[Problem]:
    """Refuse public addresses in development mode, in which a client can sign in as any user."""
    if draft.text("magic", "mode") != "development":
        return
    for place, _ in enumerate(draft.items("server", "listen")):
        at = ("server", "listen", place)
        address = draft.parsed(listen.listen_address, *at)
        if address and not listen.is_private(address):
            remedy = "listen on 127.0.0.1, [::1], localhost or unix:/path"
            yield Problem(at, _LOOPBACK, remedy=remedy)
    url = draft.parsed(addresses.origin, "server", "public_url")
    if url and not addresses.is_loopback_http(url):
        remedy = "expected http://localhost:port"
        yield Problem(("server", "public_url"), _LOOPBACK, remedy=remedy)


def tls_has_a_certificate(draft: Draft) -> Iterator[Problem]:
    """Require a certificate with its key where ``tls`` is present, instead of plain HTTP."""
    at = ("server", "tls")
    if draft.at(*at) is None:
        return
    given = [key for key in ("certificate", "key") if draft.at(*at, key) is not None]
    if len(given) == 1:
        yield Problem((*at, given[0]), "certificate and key are needed together")
    if not given and not draft.items(*at, "certificates"):
        yield Problem(at, "expected certificate and key, or certificates")


def cookie_prefix_needs_https(draft: Draft) -> Iterator[Problem]:
    """Refuse ``__Host-`` and ``__Secure-`` over http: browsers drop such cookies silently."""
    url = draft.parsed(addresses.origin, "server", "public_url") or ""
    if url.startswith("http:") and needs_https(draft.text("session", "cookie")):
        yield Problem(("session", "cookie"), "a name with this prefix needs an https public_url")


def secrets_match_mode(draft: Draft) -> Iterator[Problem]:
    """Require the secrets of live mode, and refuse a live key in development mode."""
    match draft.text("magic", "mode") or draft.at("magic", "mode"):
        case "development":
            if draft.text("magic", "secret_key").startswith("sk_live_"):
                yield Problem(
                    ("magic", "secret_key"),
                    "a live key in development mode",
                    remedy="remove it, or use a test key",
                )
        case None | "live":
            if draft.at("magic", "secret_key") in (None, ""):
                yield Problem(("magic", "secret_key"), "required in live mode")
            if draft.at("session", "keys") in (None, []):
                yield Problem(("session", "keys"), "required in live mode")
            at = ("identity", "assertion")
            if draft.at(*at) is not None and draft.at(*at, "keys") in (None, []):
                yield Problem((*at, "keys"), "required in live mode")


def identity_headers_differ(draft: Draft) -> Iterator[Problem]:
    """Refuse identity headers with equal names, without case: apps would see one field."""
    written = {**IdentityHeaders().model_dump(), **draft.mapping("identity", "headers")}
    names = [
        (("identity", "headers", key), name.lower())
        for key, name in written.items()
        if isinstance(name, str)
    ]
    names.append((ASSERTION_HEADER, draft.text(*ASSERTION_HEADER).lower()))
    yield from repeated(names, "same header as")


def passed_fields_are_written_by_others(draft: Draft) -> Iterator[Problem]:
    """Refuse to pass an identity header of the gateway's own: a client could forge it."""
    names = {**IdentityHeaders().model_dump(), **draft.mapping("identity", "headers")}
    own = {normalise_name(name) for name in names.values() if isinstance(name, str)}
    for upstream in draft.mapping("upstreams"):
        at = ("upstreams", upstream, "headers", "pass")
        for place, name in enumerate(draft.items(*at)):
            if isinstance(name, str) and normalise_name(name) in own:
                yield Problem((*at, place), "is an identity header: clients could forge it")


def route_names_differ(draft: Draft) -> Iterator[Problem]:
    """Require unique names of routes, so that a log line names one route."""
    yield from repeated(
        (((*at, "name"), draft.text(*at, "name")) for at in routes_of(draft)), "same name as"
    )


def routes_differ(draft: Draft) -> Iterator[Problem]:
    """Refuse two routes that match the same requests: the later one would never apply."""
    yield from repeated(
        (((*at, "match"), _matched(draft, at)) for at in routes_of(draft)),
        "matches the same requests as",
    )


def _matched(draft: Draft, at: KeyPath) -> object:
    """Host, path and methods of a route; None if one of them is missing or unreadable."""
    path = draft.text(*at, "match", "path")
    host, methods = draft.at(*at, "match", "host"), draft.at(*at, "match", "methods")
    if not path or isinstance(host, Unreadable) or isinstance(methods, Unreadable):
        return None
    names = frozenset(map(str, draft.items(*at, "match", "methods")))
    return draft.text(*at, "match", "host").lower(), path, names


def upstreams_of_routes_exist(draft: Draft) -> Iterator[Problem]:
    """Refuse the name of an upstream that is not configured."""
    known = draft.mapping("upstreams")
    for at in routes_of(draft):
        name = draft.text(*at, "upstream")
        if name and name not in known:
            yield Problem((*at, "upstream"), f"no such upstream; known: {_list(known)}")


def routes_without_upstream_are_for_checks(draft: Draft) -> Iterator[Problem]:
    """
    Allow a route without upstream for forward-auth checks only.

    It needs a trusted proxy that asks, and no key that is about forwarding.
    """
    dashboard = admin_route(draft)
    for at in routes_of(draft):
        if draft.at(*at, "upstream") is not None or at == dashboard:
            continue
        if draft.at("server", "trusted_proxies") in (None, []):
            yield Problem(
                (*at, "upstream"),
                "required, except for forward-auth: that needs server.trusted_proxies",
            )
        for key in _FORWARDING_KEYS:
            if draft.at(*at, key) is not None:
                yield Problem((*at, key), "needs an upstream")
        if draft.text(*at, "cost") == FROM_ANSWER:
            yield Problem((*at, "cost"), f"{FROM_ANSWER} needs an upstream")


def limits_of_routes_exist(draft: Draft) -> Iterator[Problem]:
    """Refuse the name of a limit that is not configured, or that a route lists twice."""
    known = draft.mapping("limits")
    for at in routes_of(draft):
        places = [(*at, "limits", place) for place, _ in enumerate(draft.items(*at, "limits"))]
        for place in places:
            name = draft.text(*place)
            if name and name not in known:
                yield Problem(place, f"no such limit; known: {_list(known)}")
        yield from repeated(((place, draft.text(*place)) for place in places), "same limit as")


def bursts_are_of_buckets(draft: Draft) -> Iterator[Problem]:
    """Refuse ``burst`` where the algorithm knows none: the limit would not mean what it says."""
    for name in draft.mapping("limits"):
        at = ("limits", name)
        algorithm = draft.text(*at, "algorithm")
        if draft.at(*at, "burst") is not None and algorithm != "token-bucket":
            yield Problem((*at, "burst"), "needs algorithm: token-bucket")


def replaced_prefixes_are_matched(draft: Draft) -> Iterator[Problem]:
    """Require that all paths of a route have the prefix to strip, and one way to replace it."""
    for at in routes_of(draft):
        stripped = draft.text(*at, "strip_prefix")
        if stripped and draft.at(*at, "rewrite") is not None:
            yield Problem(
                (*at, "strip_prefix"), "cannot be combined with rewrite", remedy="remove one"
            )
        path = draft.text(*at, "match", "path")
        if stripped and path and not is_under(path, stripped):
            yield Problem((*at, "strip_prefix"), "must be a prefix of match.path")


def public_routes_have_no_caller_rules(draft: Draft) -> Iterator[Problem]:
    """Refuse rules about callers on a public route, where no caller is authenticated."""
    for at in routes_of(draft):
        if draft.text(*at, "auth") != "none":
            continue
        if draft.at(*at, "allow") is not None:
            yield Problem((*at, "allow"), _PUBLIC)
        for place, rule in _rules(draft, (*at, "deny")):
            if about_callers := sorted(rule.keys() - _REQUEST_MATCHERS):
                yield Problem((*place, about_callers[0]), _PUBLIC)


def _rules(draft: Draft, at: KeyPath) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    """Iterate over the rules at ``at``, which may be a single one or a list."""
    if draft.mapping(*at):
        yield at, draft.mapping(*at)
    for place, _ in enumerate(draft.items(*at)):
        yield (*at, place), draft.mapping(*at, place)


def servers_differ(draft: Draft) -> Iterator[Problem]:
    """Refuse a server that is listed twice: it would get twice its share of the requests."""
    for at in _upstreams(draft):
        yield from repeated(
            (
                ((*at, "servers", place), draft.parsed(addresses.server, *at, "servers", place))
                for place, _ in enumerate(draft.items(*at, "servers"))
            ),
            "same server as",
        )


def upstream_tls_is_complete(draft: Draft) -> Iterator[Problem]:
    """Refuse TLS settings without an https server, and a key without its certificate."""
    for at in _upstreams(draft):
        tls = draft.mapping(*at, "tls")
        servers = [
            draft.text(*at, "servers", place) for place, _ in enumerate(draft.items(*at, "servers"))
        ]
        if tls and servers and not any(server.lower().startswith("https:") for server in servers):
            yield Problem((*at, "tls"), "needs a server at https://")
        if draft.text(*at, "tls", "key") and not draft.text(*at, "tls", "certificate"):
            yield Problem((*at, "tls", "key"), "needs tls.certificate")


def routes_keep_out_of_own_prefix(draft: Draft) -> Iterator[Problem]:
    """Refuse routes under the gateway's own prefix: an app could imitate its login page."""
    pages = draft.parsed(prefix, "server", "prefix") or "/_gateway"
    for at in routes_of(draft):
        if is_under(draft.text(*at, "match", "path"), pages):
            yield Problem(
                (*at, "match", "path"),
                "lies under server.prefix, which is reserved",
            )


def _upstreams(draft: Draft) -> Iterator[KeyPath]:
    return (("upstreams", name) for name in draft.mapping("upstreams"))


def routes_of_samples_exist(draft: Draft) -> Iterator[Problem]:
    """Refuse the name of a route that is not configured, and none of the gateway's own pages."""
    known = {draft.text(*at, "name") for at in routes_of(draft)}
    for place, _ in enumerate(draft.items("log", "access", "sample")):
        at = ("log", "access", "sample", place, "route")
        name = draft.text(*at)
        if name and name not in known and not name.startswith(_OWN_ROUTES):
            yield Problem(at, "no such route")


def _list(known: dict[str, object]) -> str:
    return ", ".join(sorted(known)) or "none"


CHECKS: tuple[Check, ...] = (
    Check("client-ip-untrusted", proxy_fields_need_trusted_proxies, "list your proxies there"),
    Check("development-not-on-loopback", development_stays_on_loopback, "use loopback"),
    *REDIS_CHECKS,
    *HOOK_CHECKS,
    Check("tls-incomplete", tls_has_a_certificate, "name the files of both"),
    *ADMIN_CHECKS,
    Check("cookie-needs-https", cookie_prefix_needs_https, "use https, or another cookie name"),
    Check("secrets-of-mode", secrets_match_mode, "set it"),
    Check("headers-alike", identity_headers_differ, "choose another name"),
    *CREDENTIAL_CHECKS,
    Check("passed-header-taken", passed_fields_are_written_by_others, "remove it"),
    Check("route-names-alike", route_names_differ, "choose another name"),
    Check("routes-alike", routes_differ, "remove one of them, or change its match"),
    Check("no-such-upstream", upstreams_of_routes_exist, "name one of these, or add it"),
    Check("no-such-route", routes_of_samples_exist, "name a route, or remove the entry"),
    Check("route-without-upstream", routes_without_upstream_are_for_checks, "set the upstream"),
    Check("no-such-limit", limits_of_routes_exist, "name one of these once, or add it"),
    *LIMIT_CHECKS,
    Check("burst-without-bucket", bursts_are_of_buckets, "set it, or remove burst"),
    Check("route-under-prefix", routes_keep_out_of_own_prefix, "choose another path or prefix"),
    Check("prefix-not-matched", replaced_prefixes_are_matched, "correct one of the two"),
    Check("rules-on-public-route", public_routes_have_no_caller_rules, "remove it, or auth: none"),
    Check("servers-alike", servers_differ, "remove one of them"),
    Check("upstream-tls-incomplete", upstream_tls_is_complete, "add it, or remove this key"),
)


def problems(draft: Draft) -> Iterator[Problem]:
    """Run all checks on ``draft``."""
    for check in CHECKS:
        for problem in check.find(draft):
            yield problem._replace(code=check.code, default_remedy=check.remedy)
