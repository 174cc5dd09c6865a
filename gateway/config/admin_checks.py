"""Checks between keys that concern the private listener; see `gateway.config.checks`."""

from collections.abc import Iterator

from gateway.config import listen
from gateway.config.check import Check, routes_of
from gateway.config.draft import Draft
from gateway.config.problems import KeyPath, Problem

ROUTE = ("admin", "route")

_NAMES_CALLERS = frozenset(
    {"issuers", "emails", "domains", "addresses", "wallets", "roles", "permissions"}
)
"""Keys of a rule that name people; all others say how or from where they come."""
_NOT_OF_THE_DASHBOARD = (
    *("strip_prefix", "rewrite", "forward_credentials", "cors"),
    *("encoded_slashes", "upgrades"),
)


def admin_tls_is_complete(draft: Draft) -> Iterator[Problem]:
    """Require names for a CA, which may sign others too, and a CA for names."""
    at = ("admin", "tls")
    if draft.at(*at) is None:
        return
    given = [key for key in ("client_ca", "names") if draft.at(*at, key) not in (None, [])]
    if len(given) == 1:
        yield Problem((*at, given[0]), "client_ca and names are needed together")
    place = draft.parsed(listen.private_address, "admin", "listen")
    if isinstance(place, listen.UnixPath):
        yield Problem(at, "not on a unix socket", remedy="remove it, or listen on host:port")


def admin_route_exists(draft: Draft) -> Iterator[Problem]:
    """Refuse the name of a route that is not configured."""
    name = draft.text(*ROUTE)
    if name and admin_route(draft) is None:
        yield Problem(ROUTE, "no such route")


def admin_route_is_for_people(draft: Draft) -> Iterator[Problem]:
    """Refuse to show the dashboard to all who can sign in, or to all: `allow` must name them."""
    at = admin_route(draft)
    if at is None:
        return
    if draft.text(*at, "auth") in ("optional", "none"):
        yield Problem((*at, "auth"), "the dashboard needs auth: required")
    if draft.at(*at, "allow") in (None, [], {}):
        yield Problem(at, "the dashboard needs allow: with roles, permissions, emails or issuers")
    places = [(*at, "allow", place) for place, _ in enumerate(draft.items(*at, "allow"))]
    for place in places or [(*at, "allow")]:
        rule = draft.mapping(*place)
        if rule and not any(rule.get(key) for key in _NAMES_CALLERS):
            yield Problem(place, "names no people", remedy="add roles, emails or issuers")


def admin_route_leads_to_the_dashboard(draft: Draft) -> Iterator[Problem]:
    """Refuse keys of the route that are about an app, and paths that the dashboard is not at."""
    at = admin_route(draft)
    if at is None:
        return
    if draft.at(*at, "upstream") is not None:
        yield Problem((*at, "upstream"), "the dashboard takes its place", remedy="remove it")
    for key in _NOT_OF_THE_DASHBOARD:
        if draft.at(*at, key) is not None:
            yield Problem((*at, key), "not for the dashboard", remedy="remove it")
    if draft.text(*at, "cost") == "from-answer":
        yield Problem((*at, "cost"), "not for the dashboard", remedy="remove it")
    path = draft.text(*at, "match", "path")
    if path and not path.endswith("/*"):
        yield Problem((*at, "match", "path"), "expected a path that ends in /*")
    if draft.at(*at, "match", "methods") is not None:
        yield Problem((*at, "match", "methods"), "not for the dashboard", remedy="remove it")


def admin_route(draft: Draft) -> KeyPath | None:
    """Return the key of the route that `admin.route` names; None for none."""
    name = draft.text(*ROUTE)
    found = [at for at in routes_of(draft) if name and draft.text(*at, "name") == name]
    return found[0] if found else None


ADMIN_CHECKS: tuple[Check, ...] = (
    Check("admin-tls-incomplete", admin_tls_is_complete, "add the other one"),
    Check("no-such-admin-route", admin_route_exists, "name a route"),
    Check("admin-route-open", admin_route_is_for_people, "name those who may"),
    Check("admin-route-shape", admin_route_leads_to_the_dashboard, "change the route"),
)
