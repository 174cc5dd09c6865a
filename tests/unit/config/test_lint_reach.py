"""Lints of hosts that no request comes for."""

from collections.abc import Callable

import pytest

from gateway.config.lint import lint
from gateway.config.lint_reach import REACH_LINTS, covers_host, sample_host
from gateway.config.problems import dotted
from gateway.config.schema import Settings

Read = Callable[..., Settings]
CODES = {code for code, _ in REACH_LINTS}
ROUTE = "routes: [{name: a, match: {host: '%s', path: /a}, upstream: app, %s}]"
LONG = ".".join(["a" * 60] * 5)


def found(settings: Settings) -> list[tuple[str, str]]:
    return [(each.code, dotted(each.path)) for each in lint(settings) if each.code in CODES]


@pytest.mark.parametrize(
    ("host", "is_found"),
    [
        ("app.example.com", False),
        ("*.example.com", False),
        ("*._x.example.com", False),
        ("[2001:db8::1]", False),
        ("_x.example.com", True),
        (LONG, True),
        (f"*.{LONG}", True),
    ],
)
def test_hosts_that_no_request_can_name(read: Read, host: str, *, is_found: bool) -> None:
    """The parser of the Host field itself says so."""
    assert [("host-never-comes", "routes[0].match.host")] * is_found == found(
        read(ROUTE % (host, "auth: none"))
    )


@pytest.mark.parametrize(
    ("host", "how", "is_found"),
    [
        ("other.example.com", "accept: [session]", True),
        ("*.example.org", "accept: [session]", True),
        ("app.example.com", "accept: [session]", False),
        ("*.example.com", "accept: [session]", False),
        ("other.example.com", "accept: [session, did-token]", False),
        ("other.example.com", "accept: [session], auth: optional", False),
    ],
)
def test_sessions_that_never_come(read: Read, host: str, how: str, *, is_found: bool) -> None:
    """The cookie has no domain, so browsers send it to the public host alone."""
    expected = [("session-never-comes", "routes[0].accept")] * is_found
    assert expected == found(read(ROUTE % (host, how)))


@pytest.mark.parametrize(
    ("pattern", "host", "is_covered"),
    [
        (None, "a.example", True),
        ("a.example", "a.example", True),
        ("a.example", "b.example", False),
        ("*.a.example", "b.a.example", True),
        ("*.a.example", "a.example", False),
    ],
)
def test_hosts_that_a_route_covers(pattern: str | None, host: str, *, is_covered: bool) -> None:
    """A wildcard matches subdomains, without the domain itself."""
    assert is_covered is covers_host(pattern, host)


def test_a_sample_is_covered() -> None:
    """It stands for all hosts of the route."""
    for pattern in ("a.example", "*.a.example"):
        assert covers_host(pattern, sample_host(pattern))
