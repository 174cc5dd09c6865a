"""Candidate routes, and why each lost."""

import pytest

from gateway.core.errors import MethodNotAllowed, NoRoute
from gateway.core.route import Route
from gateway.explain.candidates import MAX_SHOWN, candidates
from gateway.routing.table import RouteTable

ALL = Route("all", "/*", "app")
ADMIN = Route("admin", "/admin/*", "app")
ADMIN_GET = Route("admin-get", "/admin/*", "app", methods=frozenset({"GET"}))
ADMIN_AGAIN = Route("admin-again", "/admin/*", "app")
HOSTED = Route("hosted", "/admin/*", "app", host="a.example.com")
PAGE = Route("page", "/_gateway/*", "pages", is_internal=True)
PUBLIC = Route("public", "/public/*", "app")
ROUTES = (PAGE, ALL, ADMIN, ADMIN_GET, ADMIN_AGAIN, HOSTED, PUBLIC)


def lost(host: str, path: str, method: str, *routes: Route) -> dict[str, str]:
    """Why each candidate lost, by name."""
    pages = [route for route in routes if route.is_internal]
    table = RouteTable([route for route in routes if not route.is_internal], own_pages=pages)
    try:
        chosen: Route | None = table.match(host, path, method)
    except (NoRoute, MethodNotAllowed):
        chosen = None
    return {each.route.name: each.lost for each in candidates(routes, host, path, method, chosen)}


@pytest.mark.parametrize(
    ("host", "path", "method", "expected"),
    [
        pytest.param(
            "b",
            "/admin/x",
            "GET",
            {
                "admin-get": "",
                "all": "admin-get has a more specific path",
                "admin": "admin-get names the method",
                "admin-again": "admin-get names the method",
            },
            id="method",
        ),
        pytest.param(
            "a.example.com",
            "/admin/x",
            "POST",
            {
                "hosted": "",
                "all": "hosted has a more specific host",
                "admin": "hosted has a more specific host",
                "admin-get": "does not list the method POST",
                "admin-again": "hosted has a more specific host",
            },
            id="host",
        ),
        pytest.param(
            "b",
            "/admin",
            "POST",
            {
                "admin": "",
                "all": "admin has a more specific path",
                "admin-get": "does not list the method POST",
                "admin-again": "admin stands first in the file",
            },
            id="order",
        ),
        pytest.param(
            "b",
            "/_gateway/login",
            "GET",
            {"page": "", "all": "the gateway's own pages go first"},
            id="pages",
        ),
    ],
)
def test_candidates_say_why_they_lost(
    host: str, path: str, method: str, expected: dict[str, str]
) -> None:
    """Those that do not match are left out; the chosen one comes first."""
    found = lost(host, path, method, *ROUTES)
    assert (expected, next(iter(expected))) == (found, next(iter(found)))


def test_without_a_route_candidates_lack_the_method_or_are_hidden() -> None:
    """A broader route takes nothing of a path that another one has."""
    assert {
        "admin-get": "does not list the method POST",
        "all": "a route with a more specific host or path goes first, and lacks the method",
    } == lost("b", "/admin/x", "POST", ADMIN_GET, ALL)
    assert {} == lost("b", "/x", "GET", PUBLIC)


def test_the_list_of_candidates_is_bounded() -> None:
    """A config may have thousands of routes."""
    many = [Route(f"r{number}", "/*", "app") for number in range(2 * MAX_SHOWN)]
    assert MAX_SHOWN == len(candidates(many, "b", "/", "GET", many[0]))


def test_a_candidate_is_described() -> None:
    """With the pattern that it matches by."""
    [found] = candidates([ADMIN_GET], "b", "/admin", "GET", ADMIN_GET)
    assert {
        "route": "admin-get",
        "host": "",
        "path": "/admin/*",
        "methods": ["GET"],
        "lost": "",
    } == found.as_json()
