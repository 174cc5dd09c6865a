"""
What one place of a config demands of another.

The checks read the draft, of any shape whatever, and judge what is there: a fault in one place
hides none in another. No message shows a value of the draft; keys are shown, they are never filled
in.
"""

from collections.abc import Callable, Iterable, Iterator

from gateway.config import addresses
from gateway.config import listen as places
from gateway.config.draft import Draft
from gateway.config.identity import IdentityHeaders
from gateway.config.names import needs_https
from gateway.config.paths import is_under, prefix
from gateway.config.problems import (
    KeyPath,
    Problem,
    Unreadable,
    dotted,
)

Check = Callable[[Draft], Iterator[Problem]]

_ASSERTION_HEADER = ("identity", "assertion", "header")
_OF_REQUESTS = {"networks", "methods"}
_VOUCHED = ("x-forwarded-for", "forwarded", "proxy-protocol")
_OF_AN_UPSTREAM = ("forward_credentials", "strip_prefix", "rewrite", "timeouts")
_LOOPBACK = "development mode is for this machine alone: "


def forwarding_header_is_vouched_for(draft: Draft) -> Iterator[Problem]:
    """A header that anyone can write says nothing until a trusted proxy has appended to it."""
    source = draft.text("server", "client_ip")
    if source in _VOUCHED and draft.at("server", "trusted_proxies") in (None, []):
        yield Problem(("server", "client_ip"), f"{source} needs server.trusted_proxies")


def development_stays_on_loopback(draft: Draft) -> Iterator[Problem]:
    """Whoever reaches a gateway in development mode can sign in as anybody."""
    if draft.text("magic", "mode") != "development":
        return
    for place, _ in enumerate(draft.items("server", "listen")):
        at = ("server", "listen", place)
        where = draft.parsed(places.place, *at)
        if where and not places.is_private(where):
            yield Problem(at, f"{_LOOPBACK}listen on 127.0.0.1, [::1], localhost or unix:/path")
    url = draft.parsed(addresses.origin, "server", "public_url")
    if url and not addresses.is_loopback_http(url):
        yield Problem(("server", "public_url"), f"{_LOOPBACK}expected http://localhost:port")


def tls_has_a_certificate(draft: Draft) -> Iterator[Problem]:
    """Half a pair is a slip; none at all would mean to go on in the clear."""
    at = ("server", "tls")
    if draft.at(*at) is None:
        return
    given = [key for key in ("certificate", "key") if draft.at(*at, key) is not None]
    if len(given) == 1:
        yield Problem((*at, given[0]), "certificate and key are needed together")
    if not given and not draft.items(*at, "certificates"):
        yield Problem(at, "expected certificate and key, or certificates")


def cookie_suits_scheme(draft: Draft) -> Iterator[Problem]:
    """A browser drops, without a word, a cookie whose prefix asks for https."""
    url = draft.parsed(addresses.origin, "server", "public_url") or ""
    if url.startswith("http:") and needs_https(draft.text("session", "cookie")):
        yield Problem(("session", "cookie"), "a name with this prefix needs an https public_url")


def secrets_suit_mode(draft: Draft) -> Iterator[Problem]:
    """Live mode cannot do without its secrets, development mode must not have a live key."""
    match draft.text("magic", "mode") or draft.at("magic", "mode"):
        case "development":
            if draft.text("magic", "secret_key").startswith("sk_live_"):
                yield Problem(
                    ("magic", "secret_key"), "a live key has no place in development mode"
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
    """Two identity headers of one folded name would be one field to the app."""
    written = {**IdentityHeaders().model_dump(), **draft.mapping("identity", "headers")}
    names = [
        (("identity", "headers", key), name.lower())
        for key, name in written.items()
        if isinstance(name, str)
    ]
    names.append((_ASSERTION_HEADER, draft.text(*_ASSERTION_HEADER).lower()))
    yield from _repeated(names, "same header as")


def credentials_have_a_header_of_their_own(draft: Draft) -> Iterator[Problem]:
    """A field that a client fills in cannot be one that the gateway does."""
    at = ("credentials", "api_keys", "header")
    header = draft.text(*at).lower()
    names = {**IdentityHeaders().model_dump(), **draft.mapping("identity", "headers")}
    taken = {name.lower() for name in names.values() if isinstance(name, str)}
    if header and header in taken:
        yield Problem(at, "is an identity header")


def jwt_issuers_are_told_apart(draft: Draft) -> Iterator[Problem]:
    """Each has its name, a name for its people, and keys from one place."""
    issuers = [("credentials", "jwt", n) for n, _ in enumerate(draft.items("credentials", "jwt"))]
    yield from _repeated(
        (((*at, "issuer"), draft.text(*at, "issuer")) for at in issuers), "same issuer as"
    )
    names = ((at, draft.text(*at, "subject_prefix") or draft.text(*at, "issuer")) for at in issuers)
    yield from _repeated(names, "same name for people as")
    for at in issuers:
        given = [key for key in ("jwks_url", "jwks_file") if draft.at(*at, key) is not None]
        if len(given) != 1:
            yield Problem(at, "expected either jwks_url or jwks_file")


def certificates_are_asked_for(draft: Draft) -> Iterator[Problem]:
    """Names in certificates count only where somebody vouches for them."""
    at = ("credentials", "client_certificates")
    if draft.at(*at) is not None and draft.at("server", "tls", "client_ca") is None:
        yield Problem(at, "needs server.tls.client_ca")


_CONFIGURED_AT = {
    "api-key": ("credentials", "api_keys"),
    "jwt": ("credentials", "jwt"),
    "client-certificate": ("credentials", "client_certificates"),
}


def routes_accept_what_there_is(draft: Draft) -> Iterator[Problem]:
    """A way in that is not configured lets nobody in: its author thought it would."""
    for at in _routes(draft):
        for place, _ in enumerate(draft.items(*at, "accept")):
            kind = (*at, "accept", place)
            needed = _CONFIGURED_AT.get(draft.text(*kind))
            if needed is not None and draft.at(*needed) in (None, []):
                yield Problem(kind, f"needs {dotted(needed)}")


def route_names_differ(draft: Draft) -> Iterator[Problem]:
    """A log line names one route."""
    yield from _repeated(
        (((*at, "name"), draft.text(*at, "name")) for at in _routes(draft)), "same name as"
    )


def routes_differ(draft: Draft) -> Iterator[Problem]:
    """Of two routes for the same requests, the later one is dead: its author meant otherwise."""
    yield from _repeated(
        (((*at, "match"), _matched(draft, at)) for at in _routes(draft)), "same requests as"
    )


def _matched(draft: Draft, at: KeyPath) -> object:
    """Host, path and methods; None where the path is missing or the rest is faulty."""
    path = draft.text(*at, "match", "path")
    host, methods = draft.at(*at, "match", "host"), draft.at(*at, "match", "methods")
    if not path or isinstance(host, Unreadable) or isinstance(methods, Unreadable):
        return None
    names = frozenset(map(str, draft.items(*at, "match", "methods")))
    return draft.text(*at, "match", "host").lower(), path, names


def routes_lead_somewhere(draft: Draft) -> Iterator[Problem]:
    """A route names an upstream that there is."""
    known = draft.mapping("upstreams")
    for at in _routes(draft):
        name = draft.text(*at, "upstream")
        if name and name not in known:
            yield Problem((*at, "upstream"), f"no such upstream; there is {_list(known)}")


def routes_without_upstream_are_asked_about(draft: Draft) -> Iterator[Problem]:
    """Without a proxy that may ask, such a route is a slip; and it forwards nothing."""
    for at in _routes(draft):
        if draft.at(*at, "upstream") is not None:
            continue
        if draft.at("server", "trusted_proxies") in (None, []):
            yield Problem((*at, "upstream"), "required, unless server.trusted_proxies may ask")
        for key in _OF_AN_UPSTREAM:
            if draft.at(*at, key) is not None:
                yield Problem((*at, key), "needs an upstream")


def routes_are_limited_by_limits(draft: Draft) -> Iterator[Problem]:
    """A route names limits that there are, each once."""
    known = draft.mapping("limits")
    for at in _routes(draft):
        places = [(*at, "limits", place) for place, _ in enumerate(draft.items(*at, "limits"))]
        for place in places:
            name = draft.text(*place)
            if name and name not in known:
                yield Problem(place, f"no such limit; there is {_list(known)}")
        yield from _repeated(((place, draft.text(*place)) for place in places), "same limit as")


def emails_are_counted_at_login(draft: Draft) -> Iterator[Problem]:
    """Only an attempt to sign in names an email before anybody is proven."""
    for name in draft.mapping("limits"):
        at = ("limits", name)
        parts = [draft.text(*at, "per"), *map(str, draft.items(*at, "per"))]
        if "email" in parts and name != "login":
            yield Problem((*at, "per"), "only the limit named login can count by email")
        if draft.at(*at, "ip_rate") is not None and not {"ip", "email"} <= set(parts):
            yield Problem((*at, "ip_rate"), "has no place without per: [ip, email]")
        if "email" in parts and name == "login":
            yield from _routes_limited_by_email(draft)


def _routes_limited_by_email(draft: Draft) -> Iterator[Problem]:
    for at in _routes(draft):
        for place, name in enumerate(draft.items(*at, "limits")):
            if name == "login":
                yield Problem((*at, "limits", place), "counts by email, which no route knows")


def routes_replace_what_they_match(draft: Draft) -> Iterator[Problem]:
    """A prefix is replaced on every path of a route or on none, and in one way."""
    for at in _routes(draft):
        stripped = draft.text(*at, "strip_prefix")
        if stripped and draft.at(*at, "rewrite") is not None:
            yield Problem((*at, "strip_prefix"), "has no place beside rewrite")
        path = draft.text(*at, "match", "path")
        if stripped and path and not is_under(path, stripped):
            yield Problem((*at, "strip_prefix"), "is not the beginning of match.path")


def rules_have_somebody_to_judge(draft: Draft) -> Iterator[Problem]:
    """Nobody is known on a public route: who is to be let in there cannot be told."""
    for at in _routes(draft):
        if draft.text(*at, "auth") != "none":
            continue
        if draft.at(*at, "allow") is not None:
            yield Problem((*at, "allow"), "has no place on a public route")
        for place, rule in _rules(draft, (*at, "deny")):
            if stray := sorted(rule.keys() - _OF_REQUESTS):
                yield Problem((*place, stray[0]), "nobody is known on a public route")


def _rules(draft: Draft, at: KeyPath) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    """The rules at ``at``: one, or a list of them."""
    if draft.mapping(*at):
        yield at, draft.mapping(*at)
    for place, _ in enumerate(draft.items(*at)):
        yield (*at, place), draft.mapping(*at, place)


def servers_differ(draft: Draft) -> Iterator[Problem]:
    """A server that is named twice would get twice its share."""
    for at in _upstreams(draft):
        yield from _repeated(
            (
                ((*at, "servers", place), draft.parsed(addresses.server, *at, "servers", place))
                for place, _ in enumerate(draft.items(*at, "servers"))
            ),
            "same server as",
        )


def tls_is_complete(draft: Draft) -> Iterator[Problem]:
    """A certificate is nothing without its key; and TLS files without TLS protect nothing."""
    for at in _upstreams(draft):
        tls = draft.mapping(*at, "tls")
        servers = [
            draft.text(*at, "servers", place) for place, _ in enumerate(draft.items(*at, "servers"))
        ]
        if tls and servers and not any(server.lower().startswith("https:") for server in servers):
            yield Problem((*at, "tls"), "needs a server at https://")
        if draft.text(*at, "tls", "key") and not draft.text(*at, "tls", "certificate"):
            yield Problem((*at, "tls", "key"), "needs a certificate beside it")


def routes_leave_our_pages_alone(draft: Draft) -> Iterator[Problem]:
    """A route at the gateway's prefix could pose as its login page."""
    pages = draft.parsed(prefix, "server", "prefix") or "/_gateway"
    for at in _routes(draft):
        if is_under(draft.text(*at, "match", "path"), pages):
            yield Problem((*at, "match", "path"), "lies under server.prefix, the gateway's own")


def _routes(draft: Draft) -> Iterator[KeyPath]:
    return (("routes", place) for place, _ in enumerate(draft.items("routes")))


def _upstreams(draft: Draft) -> Iterator[KeyPath]:
    return (("upstreams", name) for name in draft.mapping("upstreams"))


def _repeated(entries: Iterable[tuple[KeyPath, object]], message: str) -> Iterator[Problem]:
    """A problem for each entry whose value came before; empty values are no values."""
    first: dict[object, KeyPath] = {}
    for path, value in entries:
        if value and first.setdefault(value, path) is not path:
            yield Problem(path, f"{message} {dotted(first[value])}")


def _list(known: dict[str, object]) -> str:
    return ", ".join(sorted(known)) or "none"


CHECKS: tuple[Check, ...] = (
    forwarding_header_is_vouched_for,
    development_stays_on_loopback,
    tls_has_a_certificate,
    cookie_suits_scheme,
    secrets_suit_mode,
    identity_headers_differ,
    credentials_have_a_header_of_their_own,
    routes_accept_what_there_is,
    jwt_issuers_are_told_apart,
    certificates_are_asked_for,
    route_names_differ,
    routes_differ,
    routes_lead_somewhere,
    routes_without_upstream_are_asked_about,
    routes_are_limited_by_limits,
    emails_are_counted_at_login,
    routes_leave_our_pages_alone,
    routes_replace_what_they_match,
    rules_have_somebody_to_judge,
    servers_differ,
    tls_is_complete,
)


def problems(draft: Draft) -> Iterator[Problem]:
    """All that does not fit together in ``draft``."""
    for check in CHECKS:
        yield from check(draft)
