"""Routes and the rules in them."""

from ipaddress import ip_network
from typing import Any

import pytest

from gateway.core.identity import INTERACTIVE_METHODS, AuthMethod
from gateway.core.route import Auth, Route, Rule

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
