"""Section ``routes.*.cors``, and the policy that is compiled from it."""

from collections.abc import Callable

import pytest

from gateway.config.compile import routes
from gateway.config.schema import Settings
from gateway.core.route import Cors

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]

ROUTE = "routes: [{{name: a, match: {{path: /a{more}}}, upstream: app, cors: {cors}}}]"


def compiled(read: Read, cors: str, more: str = "") -> Cors:
    """The policy of a config with one route."""
    (route,) = routes(read(ROUTE.format(cors=cors, more=more)))
    assert route.cors is not None
    return route.cors


@pytest.mark.parametrize(
    ("more", "cors", "expected"),
    [
        pytest.param("", "", "DELETE, GET, HEAD, PATCH, POST, PUT", id="the-usual"),
        pytest.param(", methods: [GET, PUT]", "", "GET, HEAD, PUT", id="the-routes"),
        pytest.param(", methods: [GET, PUT]", ", methods: [PUT]", "PUT", id="its-own"),
    ],
)
def test_methods(read: Read, more: str, cors: str, expected: str) -> None:
    """The methods of a policy default to those of the route, or to the common ones."""
    made = compiled(read, f"{{origins: ['https://b.example']{cors}}}", more)
    assert expected == dict(made.preflights["https://b.example"])["Access-Control-Allow-Methods"]


def test_origins_are_as_browsers_write_them(read: Read) -> None:
    """An origin is compared in lower case and without the default port."""
    made = compiled(read, "{origins: ['HTTPS://Shop.Example.com:443'], credentials: true}")
    assert {"https://shop.example.com"} == set(made.answers) == made.credentialed


def test_times_and_fields(read: Read) -> None:
    """The fields and the time of the file stand in the response to a preflight."""
    made = compiled(read, "{origins: ['*'], headers: [X-A], expose: [X-B, X-C], max_age: 2h}")
    preflight = dict(made.preflights["*"])
    assert ("X-A", "7200") == (
        preflight["Access-Control-Allow-Headers"],
        preflight["Access-Control-Max-Age"],
    )
    assert "X-B, X-C" == dict(made.answers["*"])["Access-Control-Expose-Headers"]


def test_an_app_may_answer_preflights_itself(read: Read) -> None:
    """With ``preflight: pass``, no origin has to be listed."""
    made = compiled(read, "{preflight: pass}")
    assert (True, {}) == (made.passes_preflights, made.answers)


def test_a_route_without_the_section_has_no_policy(read: Read) -> None:
    """A preflight is then a request like any other."""
    (route,) = routes(read("routes: [{name: a, match: {path: /a}, upstream: app}]"))
    assert route.cors is None


@pytest.mark.parametrize(
    ("cors", "complaint"),
    [
        pytest.param("{}", "expected origins, or preflight: pass", id="nothing"),
        pytest.param("{origins: []}", "expected origins, or preflight: pass", id="no-origin"),
        pytest.param(
            "{origins: ['*'], credentials: true}",
            '"*" must be the only origin, and excludes credentials: true',
            id="any-origin-with-credentials",
        ),
        pytest.param(
            "{origins: ['*', 'https://b.example']}",
            '"*" must be the only origin, and excludes credentials: true',
            id="any-origin-and-a-listed-one",
        ),
        pytest.param("{origins: ['null']}", "expected an origin", id="sandboxed-frames"),
        pytest.param("{origins: ['https://*.example.com']}", "expected an origin", id="pattern"),
        pytest.param("{origins: ['https://b.example/x']}", "expected an origin", id="path"),
        pytest.param(
            "{origins: ['*'], headers: ['*']}", "expected the name of a header", id="star"
        ),
        pytest.param(
            "{origins: ['*'], expose: ['a b']}", "expected the name of a header", id="space"
        ),
        pytest.param(
            "{origins: ['*'], methods: []}", "expected at least one entry", id="no-method"
        ),
        pytest.param(
            "{origins: ['*'], preflight: ignore}", "expected 'answer' or 'pass'", id="word"
        ),
    ],
)
def test_invalid_policies(complaints: Complain, cors: str, complaint: str) -> None:
    """A policy that would open more than intended, or nothing, is refused."""
    (problem,) = complaints(ROUTE.format(cors=cors, more=""))
    assert "routes[0].cors" in problem
    assert complaint in problem
