"""Routes and the rules in them."""

from ipaddress import ip_network
from typing import Any

import pytest

from gateway.core.identity import INTERACTIVE_METHODS, AuthMethod
from gateway.core.route import Auth, Route, Rule, is_websocket

ANY = frozenset({"x"})


@pytest.mark.parametrize(
    "matchers",
    [
        {"issuers": ANY},
        {"emails": ANY},
        {"domains": ANY},
        {"addresses": ANY},
        {"wallets": ANY},
        {"auth_methods": frozenset({AuthMethod.JWT})},
        {"roles": ANY},
        {"scopes": ANY},
        {"roles": ANY, "methods": frozenset({"GET"})},
    ],
    ids="+".join,
)
def test_rules_about_identities_need_an_authenticated_caller(matchers: dict[str, Any]) -> None:
    """An anonymous request can never match them."""
    assert Rule(**matchers).is_about_callers


@pytest.mark.parametrize(
    "matchers",
    [{}, {"methods": frozenset({"GET"})}, {"networks": (ip_network("10.0.0.0/8"),)}],
    ids=lambda matchers: "+".join(matchers) or "empty",
)
def test_rules_about_requests_need_no_authenticated_caller(matchers: dict[str, Any]) -> None:
    """Networks and methods are known of every request."""
    assert not Rule(**matchers).is_about_callers


def test_a_route_is_closed_by_default() -> None:
    """It requires authentication, by credentials of people, and hides them from the app."""
    route = Route("name", "/*", "app")
    assert (Auth.REQUIRED, INTERACTIVE_METHODS) == (route.auth, route.accept)
    assert not route.forward_credentials
    assert (None, frozenset()) == (route.cors, route.upgrades)


@pytest.mark.parametrize("protocol", ["websocket", "WebSocket", "websocket/13"])
def test_a_request_for_a_websocket_is_never_served_without_one(protocol: str) -> None:
    """Where the route lists none, the client is told."""
    assert is_websocket(protocol)
    assert not Route("a", "/*", "app").ignores_upgrade(protocol)


def test_other_upgrades_are_ignored_unless_the_route_lists_them() -> None:
    """A server may go on with the protocol that it speaks (RFC 9110 section 7.8)."""
    route = Route("a", "/*", "app", upgrades=frozenset({"chat/2"}))
    assert (True, False) == (route.ignores_upgrade("h2c"), route.ignores_upgrade("chat/2"))
    assert not is_websocket("websockets")
