"""The cache of assertions: when one is signed anew, and for which app."""

from dataclasses import replace
from itertools import count
from typing import Any

import jwt
import pytest

from gateway.assertion import cache as module
from gateway.assertion.cache import AssertionCache
from gateway.assertion.token import made_up_key
from gateway.core.identity import Identity
from gateway.core.request import Target
from gateway.core.route import Route
from tests.fakes.heads import request_head
from tests.fakes.memory import FakeClock
from tests.fakes.ports import SESSION_IDENTITY

KEY = made_up_key(b"1" * 32)
ROUTE = Route("all", "/*", "app")
TARGET = Target("/v2/x", "/v2/x?a=1", False)
LONG = replace(SESSION_IDENTITY, expires_at_ms=2**50)


class House:
    """A cache with a clock that stands still and numbered ids."""

    def __init__(self, *, binds_requests: bool = False) -> None:
        self.clock = FakeClock()
        ids = count(1)
        self.assertions = AssertionCache(
            "X-Gateway-Assertion",
            KEY,
            "https://app.example.com",
            {"billing": "https://billing.example.com"},
            public_host="app.example.com",
            lifetime_s=60.0,
            binds_requests=binds_requests,
            clock=self.clock,
            token_id=lambda: f"id-{next(ids)}",
        )

    def line(self, identity: Identity = LONG, route: Route = ROUTE, **head: Any) -> bytes:
        """Return the field line for a request."""
        return self.assertions.line(identity, route, request_head(**head), TARGET)

    def said(self, line: bytes) -> dict[str, Any]:
        """Read the claims of a field line."""
        name, _, token = line.decode().partition(": ")
        assert ("X-Gateway-Assertion", True) == (name, token.endswith("\r\n"))
        claims: dict[str, Any] = jwt.decode(
            token.strip(), options={"verify_signature": False, "verify_exp": False}
        )
        return claims


def test_a_session_in_use_does_not_sign_each_time() -> None:
    """The line is the same again, also for an equal identity that was looked up anew."""
    house = House()
    first = house.line()
    assert first is house.line()
    assert first is house.line(replace(LONG))


def test_an_assertion_is_renewed_before_it_expires() -> None:
    """After two thirds of its life, so an app has a third left to verify it."""
    house = House()
    first = house.line()
    house.clock.now_s += 39.9
    assert first is house.line()
    house.clock.now_s += 0.2
    assert house.said(first)["exp"] + 40 == house.said(house.line())["exp"]


def test_a_clock_that_was_set_back_renews_the_assertion() -> None:
    """An assertion from the future is not sent."""
    house = House()
    first = house.line()
    house.clock.now_s -= 3600
    assert house.said(first)["iat"] - 3600 == house.said(house.line())["iat"]


def test_an_assertion_expires_with_its_identity() -> None:
    """A shorter life of the identity makes the assertion's shorter."""
    house = House()
    ending = replace(LONG, expires_at_ms=int((house.clock.now_s + 6) * 1000))
    first = house.line(ending)
    house.clock.now_s += 5
    assert first is not house.line(ending)


@pytest.mark.parametrize(
    ("route", "audience"),
    [
        (ROUTE, "app"),
        (replace(ROUTE, upstream="billing"), "https://billing.example.com"),
        (replace(ROUTE, upstream="", name="behind-nginx"), "behind-nginx"),
        (replace(ROUTE, upstream="", name="billing"), "billing"),
    ],
)
def test_an_assertion_is_for_one_app(route: Route, audience: str) -> None:
    """Its audience is named by the config, or else by the upstream or the route."""
    house = House()
    assert audience == house.said(house.line(route=route))["aud"]
    assert house.line() is not house.line(route=replace(ROUTE, upstream="other"))


def test_other_roles_make_another_assertion() -> None:
    """No stale roles are sent after a change of rights."""
    house = House()
    house.line()
    assert ["admin"] == house.said(house.line(replace(LONG, roles=("admin",))))["roles"]


def test_the_gateways_own_pages_get_none() -> None:
    """They get the identity in an internal field."""
    assert b"" == House().line(route=replace(ROUTE, is_internal=True))


def test_a_bound_assertion_is_signed_for_each_request() -> None:
    """Each has its own id, and the parts of the request that the app sees."""
    house = House(binds_requests=True)
    one = house.said(house.line(method="POST"))
    two = house.said(house.line(host=None))
    assert ("id-1", "POST", "/v2/x") == (one["jti"], one["htm"], one["path"])
    assert ("id-2", "GET", "app.example.com") == (two["jti"], two["htm"], two["host"])
    assert one["qh"] == two["qh"]


def test_the_caches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many identities there are, memory does not grow."""
    monkeypatch.setattr(module, "_MAX_CACHED", 2)
    monkeypatch.setattr(module, "_MAX_PAIRS", 2)
    house = House()
    for number in range(5):
        house.line(replace(LONG, token_id=str(number)))
    assert 2 == len(house.assertions._by_object)
    assert 2 == len(house.assertions._by_value)
