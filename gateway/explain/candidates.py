"""Candidate routes: which of them could take a request, and why each lost."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.core.errors import MethodNotAllowed, NoRoute
from gateway.core.route import Route
from gateway.routing.table import RouteTable

MAX_SHOWN = 50
"""Candidates that are listed; a config may have thousands of routes."""


class Candidate(NamedTuple):
    """A route whose host and path match, and why it did not take the request."""

    route: Route
    lost: str
    """Empty for the route that took it."""

    def as_json(self) -> dict[str, object]:
        """Write it for programs."""
        route = self.route
        return {
            "route": route.name,
            "host": route.host or "",
            "path": route.path,
            "methods": sorted(route.methods or ()),
            "lost": self.lost,
        }


def candidates(
    routes: Iterable[Route], host: str, path: str, method: str, chosen: Route | None
) -> list[Candidate]:
    """
    List the routes whose host and path match, the one that was chosen first.

    Each is asked alone, by a table that has no other route. ``chosen`` is None where the request
    was refused: no route matches, or those that go first do not have the method.
    """
    found = [] if chosen is None else [Candidate(chosen, "")]
    for route in routes:
        if route is not chosen and (lost := _why_lost(route, host, path, method, chosen)):
            found.append(Candidate(route, lost))
            if len(found) >= MAX_SHOWN:
                break
    return found


def _why_lost(route: Route, host: str, path: str, method: str, chosen: Route | None) -> str:
    """Say why ``route`` did not take the request; empty where its host or path does not match."""
    if not path.startswith(route.path.removesuffix("/*")) or not _may_have(route, host):
        return ""  # most routes of a large config: this is a tenth of the look-up below
    try:
        RouteTable([route]).match(host, path, method)
    except NoRoute:
        return ""
    except MethodNotAllowed:
        return f"does not list the method {method}"
    if chosen is None:
        return "a route with a more specific host or path goes first, and lacks the method"
    return next(_better(chosen, route))


def _may_have(route: Route, host: str) -> bool:
    pattern = route.host
    return pattern is None or host == pattern or (pattern[0] == "*" and host.endswith(pattern[1:]))


def _better(chosen: Route, route: Route) -> Iterator[str]:
    """Say by what ``chosen`` goes before ``route``: both match."""
    if chosen.is_internal and not route.is_internal:
        yield "the gateway's own pages go first"
    if chosen.host != route.host:
        yield f"{chosen.name} has a more specific host"
    if chosen.path != route.path:
        yield f"{chosen.name} has a more specific path"
    if chosen.methods is not None and route.methods is None:
        yield f"{chosen.name} names the method"
    yield f"{chosen.name} stands first in the file"
