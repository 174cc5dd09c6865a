"""Lints of who limits count."""

from collections.abc import Callable

import pytest

from gateway.config.lint import lint
from gateway.config.problems import dotted
from gateway.config.schema import Settings

Read = Callable[..., Settings]

LIMITS = """\
limits:
  default: {rate: 300/minute}
  issuer:  {rate: 9/minute, per: issuer}
  session: {rate: 9/minute, per: session}
  key:     {rate: 9/minute, per: [api-key, ip]}
  role:    {rate: 9/minute, per: role}
  tenant:  {rate: 9/minute, per: "header:X-Tenant"}
  device:  {rate: 9/minute, per: [ip, "header:X-Device"]}
"""
NEVER, FREE, NONE_BEFORE = "limit-never-known", "limit-by-free-header", "checked-without-limit"
ROLES = "identity: {roles: [{role: staff, domains: [example.com]}]}\n"


def found(read: Read, route: str, more: str = "") -> list[tuple[str, str]]:
    """Return the codes and keys of what is odd about a route."""
    settings = read(
        f"{more}{LIMITS}routes: [{{name: a, match: {{path: /a}}, upstream: app, {route}}}]"
    )
    return [
        (problem.code, dotted(problem.path))
        for problem in lint(settings)
        if problem.code != "limit-unused"
    ]


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param("limits: [default, issuer]", [], id="both-stages"),
        pytest.param("auth: optional, limits: [default, issuer]", [], id="anonymous-by-address"),
        pytest.param(
            "auth: none, limits: [default, issuer]",
            [(NEVER, "routes[0].limits[1]")],
            id="a-caller-on-a-public-route",
        ),
        pytest.param(
            "limits: [default, session], accept: [did-token]",
            [(NEVER, "routes[0].limits[1]")],
            id="no-session-is-accepted",
        ),
        pytest.param("limits: [default, session]", [], id="sessions-are-accepted"),
        pytest.param(
            "limits: [default, key]", [(NEVER, "routes[0].limits[1]")], id="no-key-is-accepted"
        ),
        pytest.param("limits: [default, key], accept: [api-key]", [], id="keys-are-accepted"),
        pytest.param(
            "limits: [default, role]", [(NEVER, "routes[0].limits[1]")], id="no-role-is-given"
        ),
        pytest.param("limits: [issuer]", [(NONE_BEFORE, "routes[0]")], id="none-before"),
        pytest.param("limits: [default, tenant]", [], id="a-header-beside-an-address"),
        pytest.param(
            "auth: none, limits: [tenant]", [(FREE, "routes[0].limits")], id="a-header-alone"
        ),
        pytest.param(
            "auth: none, limits: [device]",
            [(FREE, "routes[0].limits")],
            id="a-key-with-a-header-is-new-with-each-value",
        ),
        pytest.param(
            "auth: none, limits: [device, tenant]", [(FREE, "routes[0].limits")], id="two-headers"
        ),
        pytest.param("auth: none, limits: []", [], id="no-limit"),
        pytest.param("auth: none", [], id="the-default"),
    ],
)
def test_limits_that_count_other_than_meant(
    read: Read, route: str, expected: list[tuple[str, str]]
) -> None:
    """Each is told where the route lists it."""
    given = "credentials: {api_keys: {}}\n" if "accept: [api-key]" in route else ""
    assert expected == found(read, route, given)


def test_roles_of_the_config_or_the_store_are_known(read: Read) -> None:
    """Then a limit by role has callers."""
    for identity in (ROLES, "identity: {roles_from_store: true}\n"):
        assert [] == found(read, "limits: [default, role]", identity)


def test_a_default_by_header_is_told_at_the_route(read: Read) -> None:
    """It stands in no list there."""
    settings = read(
        'limits: {default: {rate: 1/hour, per: ["header:X-A", issuer]}}\n'
        "routes: [{name: a, match: {path: /a}, upstream: app, auth: none}]"
    )
    assert [(NEVER, "routes[0]"), (FREE, "routes[0]")] == [
        (problem.code, dotted(problem.path)) for problem in lint(settings)
    ]
