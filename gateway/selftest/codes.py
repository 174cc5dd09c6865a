"""The codes of findings: what each means, and its remedy. docs/selftest.md shows the table."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class FindingKind(NamedTuple):
    """What a code means, and what to do."""

    meaning: str
    remedy: str


def _failure(meaning: str) -> FindingKind:
    """Return the kind of what no config can bring about."""
    return FindingKind(f"{meaning}: the gateway has failed", "report it as SECURITY.md says")


_LIST_PATHS: Final = "make the wide route protected, and list the public paths"
_OWN_PROXIES: Final = "list your own proxies alone in trusted_proxies"

KINDS: Final[Mapping[str, FindingKind]] = {
    "reached": _failure("a protected path is reached as it stands"),
    "reached-by-other-host": FindingKind(
        "a protected path is public on a host that clients choose",
        "protect the path on any host too, or give the public route a host",
    ),
    "reached-by-other-upstream": FindingKind(
        "an upstream of another name leads to the same server, publicly",
        "protect the paths in the routes of both upstreams",
    ),
    "reached-by-strip-prefix": FindingKind(
        "without its prefix, a public path is one that another route protects",
        "strip the prefix to paths that no other route has",
    ),
    "reached-by-rewrite": FindingKind(
        "rewritten, a public path is one that another route protects",
        "rewrite it to other paths",
    ),
    "reached-by-other-route": FindingKind(
        "another route of the same path is public", "protect both, or remove one of them"
    ),
    "reached-by-other-method": FindingKind(
        "one method that changes something is protected, and others of the path are public",
        "list the methods of the public route",
    ),
    "reached-by-method-override": FindingKind(
        "an app that obeys `_method` in a POST takes it for a protected method",
        "protect POST too, or switch the override off in the app",
    ),
    "reached-by-case": FindingKind(
        "an app that ignores upper and lower case serves the path publicly", _LIST_PATHS
    ),
    "reached-by-suffix": FindingKind(
        "an app that takes `.json` for a format serves the path publicly", _LIST_PATHS
    ),
    "reached-by-path-info": FindingKind(
        "a script serves all paths behind its own", "protect the script with `/*` behind it"
    ),
    "reached-by-trailing-dot": FindingKind(
        "an app on a file system that drops dots and spaces serves the path publicly", _LIST_PATHS
    ),
    "reached-by-unicode-folding": FindingKind(
        "an app that folds Unicode serves the path publicly", _LIST_PATHS
    ),
    "reached-by-double-decoding": FindingKind(
        "an app that decodes twice serves the path publicly", _LIST_PATHS
    ),
    "reached-by-encoded-slash": FindingKind(
        "an app that decodes `%2F` reads a protected path", "set encoded_slashes: refuse"
    ),
    "reached-by-backslash": FindingKind(
        "an app that takes a backslash for a slash reads a protected path",
        "set encoded_slashes: refuse",
    ),
    "reached-by-dot-segments": _failure("dot segments lead to a protected path"),
    "reached-by-parameters": _failure("without `;parameters` it is a protected path"),
    "reached-by-smuggling": _failure("a request hides in another one"),
    "request-smuggled": _failure("other requests arrive than were sent"),
    "ambiguous-framing": _failure("an app may cut the message elsewhere"),
    "credential-forged": _failure("a forged credential makes a caller"),
    "credentials-unchecked": FindingKind(
        "a public route forwards credentials that nothing has verified",
        "use auth: optional, or forward_credentials: false",
    ),
    "identity-forged": _failure("a client writes a field of the identity"),
    "override-passed": _failure("a client names another path or method in a field"),
    "foreign-identity-passed": FindingKind(
        "a client writes the field in which another gateway tells who is asking",
        "remove it from headers.pass",
    ),
    "foreign-address-passed": FindingKind(
        "a client writes the field in which another proxy tells its address",
        "remove it from headers.pass",
    ),
    "role-by-unverified-email": FindingKind(
        "a JWT gives a role by an email address that its issuer need not have verified",
        "give the role by issuer, or take no email from this issuer",
    ),
    "open-to-public-mail": FindingKind(
        "a rule lets in a domain at which anyone can have an address", "list the addresses"
    ),
    "deny-evaded": FindingKind(
        "a person who is denied gets in by another address of the same mailbox",
        "list in allow the addresses that may, in place of their domain",
    ),
    "address-spoofed": FindingKind(
        "clients of the internet choose their own address",
        _OWN_PROXIES,
    ),
    "scheme-spoofed": FindingKind(
        "clients of the internet choose the scheme that apps are told",
        _OWN_PROXIES,
    ),
    "host-spoofed": _failure("clients choose the host that apps are told"),
    "checks-by-strangers": FindingKind(
        "clients of the internet may ask forward-auth checks",
        _OWN_PROXIES,
    ),
    "network-rule-spoofed": FindingKind(
        "clients pass a rule about networks by an address that they claim",
        _OWN_PROXIES,
    ),
    "network-open": FindingKind(
        "a rule about networks takes clients from all over the internet", "list your own networks"
    ),
    "redirect-foreign": FindingKind(
        "after a login or a logout, people are sent to another site",
        "remove it from login.return_to_hosts",
    ),
    "markup-in-page": FindingKind(
        "a page shows what a client has sent as markup, so scripts of attackers too",
        "let the template in pages.templates escape it: remove `safe`",
    ),
    "session-in-the-clear": FindingKind(
        "the session cookie goes over http", "set an https public_url"
    ),
    "session-for-scripts": _failure("scripts can read the session cookie"),
    "cors-foreign": FindingKind(
        "pages of another site act with the session of their visitors",
        "remove the origin, or set credentials: false",
    ),
    "cors-in-the-clear": FindingKind(
        "a page over http acts with sessions: a network attacker can alter it", "use https"
    ),
    "cors-local": FindingKind(
        "a program on the visitor's machine acts with the session",
        "remove the origin of development",
    ),
    "cors-opens-network": FindingKind(
        "any page reads, by the browser of a visitor, what only a network may",
        "list the origins",
    ),
    "cross-site-request": _failure("a page that is not listed acts with a session"),
    "admin-reached": FindingKind(
        "a route leads to the private listener, which is for operators alone",
        "remove the route; admin.route shows the dashboard to people",
    ),
    "gateway-reached": FindingKind(
        "a route leads to the gateway itself, from an address that it may trust",
        "name the app in servers",
    ),
    "store-reached": FindingKind(
        "a route leads to the store, which obeys what a body says", "name the app in servers"
    ),
    "metadata-reached": FindingKind(
        "a route leads to the metadata service, which hands out the machine's credentials",
        "remove the route",
    ),
}
"""By code. Of a check (forward-auth) and of a refused caller, the kinds are those of `reached`."""


def kind_of(code: str) -> FindingKind:
    """Return what ``code`` means. Raises `KeyError` for an unknown one."""
    plain = code.removeprefix("check-")
    if plain.startswith("rights-bypassed"):
        plain = plain.replace("rights-bypassed", "reached", 1)
    return KINDS[plain]
