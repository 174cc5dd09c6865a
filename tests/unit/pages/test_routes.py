"""The routes that lead to the pages."""

import pytest

from gateway.config.credentials import AUTH_METHODS
from gateway.core.identity import AuthMethod
from gateway.core.limit import Limit
from gateway.core.route import Auth, Route, Rule
from gateway.pages.routes import PAGES, page_routes
from gateway.routing.table import RouteTable

LIMITS = (Limit("default", 5, 60),)


def _route(method: str, path: str) -> Route:
    return RouteTable(page_routes("/_gateway", LIMITS)).match("x", f"/_gateway{path}", method)


def test_signing_in_sees_the_token() -> None:
    """It reads the attachment, and ends the session that the cookie names."""
    route = _route("POST", "/session")
    assert (Auth.REQUIRED, True, True) == (
        route.auth,
        route.is_sign_in,
        route.forward_credentials,
    )


def test_no_other_route_sees_credentials() -> None:
    """Every other page gets the identity alone."""
    seeing = [route.name for route in page_routes("/_gateway", ()) if route.forward_credentials]
    assert ["gateway-sign-in"] == seeing


def test_programs_may_ask_for_their_identity() -> None:
    """With every kind of credential; other pages take sessions and DID tokens, or less."""
    assert frozenset(AUTH_METHODS) == _route("HEAD", "/session").accept
    assert AuthMethod.API_KEY not in _route("GET", "/account").accept
    assert {AuthMethod.SESSION} == _route("POST", "/login/attempt").accept


def test_locks_are_for_api_keys_with_their_scope() -> None:
    """The pipeline refuses all others."""
    route = _route("POST", "/locks/welcome")
    assert {AuthMethod.API_KEY} == route.accept
    assert (Rule(scopes=frozenset({"locks"})),) == route.allow
    assert LIMITS == route.limits
    assert () == _route("GET", "/session").allow


@pytest.mark.parametrize(
    ("path", "limits"), [("/login", LIMITS), ("/static/1/pages.css", ()), ("/verify/x", ())]
)
def test_limits(path: str, limits: tuple[Limit, ...]) -> None:
    """Files are not counted, and a check has the limits of the request that it is about."""
    assert limits == _route("GET", path).limits


def test_everything_under_the_prefix_is_internal() -> None:
    """No request under it reaches an app; what is no page is answered by the pages."""
    assert all(route.is_internal for route in page_routes("/_gateway", ()))
    rest = _route("PUT", "/anything")
    assert ("gateway-pages", PAGES, Auth.NONE) == (rest.name, rest.upstream, rest.auth)
