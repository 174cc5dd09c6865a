"""Lints of paths that another route serves with fewer rules: each message has a request."""

from collections.abc import Callable

import pytest

from gateway.config.lint import lint
from gateway.config.lint_paths import PATH_LINTS
from gateway.config.problems import dotted
from gateway.config.schema import Settings

Read = Callable[..., Settings]
CODES = {code for code, _ in PATH_LINTS}
AROUND, CASE, NEVER = "public-covers-protected", "path-in-another-case", "route-never-matches"
TWO_APPS = "upstreams: {app: {servers: ['http://127.0.0.1']}, b: {servers: ['http://[::1]']}}\n"


def found(read: Read, routes: str, more: str = "") -> list[tuple[str, str, str]]:
    """Return codes, keys and messages."""
    return [
        (each.code, dotted(each.path), each.message)
        for each in lint(read(f"{more}routes: [{routes}]"))
        if each.code in CODES
    ]


def route(name: str, match: str, more: str = "") -> str:
    return f"{{name: {name}, match: {{{match}}}, upstream: app, {more}}}"


PROTECTED = route("admin", "path: /api/admin")
PUBLIC = route("api", "path: /api/*", "auth: none")
SIBLING = "host: '*.example.com', "
HOME = route("site", "host: app.example.com, path: /*")
SIBLINGS = route("api", "host: '*.example.com', path: /*", "auth: none")
STAFF = "allow: {domains: [example.com]}"


@pytest.mark.parametrize(
    ("routes", "request_"),
    [
        pytest.param(
            f"{PUBLIC}, {PROTECTED}", "GET https://app.example.com/api/admin/x", id="below"
        ),
        pytest.param(
            f"{PUBLIC}, {route('admin', 'host: a.example.com, path: /api/admin/*')}",
            "GET https://app.example.com/api/admin",
            id="on-another-host",
        ),
        pytest.param(
            f"{PUBLIC}, {route('admin', 'host: app.example.com, path: /api/*')}",
            "GET https://other.example.org/api",
            id="on-a-host-that-is-not-the-public-one",
        ),
        pytest.param(
            f"{PUBLIC}, {route('admin', 'path: /api/ADMIN/*')}",
            "GET https://app.example.com/api/admin",
            id="in-another-case",
        ),
        pytest.param(
            f"{route('api', 'path: /api/*, methods: [POST]', 'auth: none')},"
            f" {route('admin', 'path: /api/admin/*')}",
            "POST https://app.example.com/api/ADMIN",
            id="with-its-method",
        ),
        pytest.param(
            f"{SIBLINGS}, {route('admin', 'host: a.example.com, path: /*')}",
            "GET https://other.example.com/",
            id="on-a-sibling-host",
        ),
        pytest.param(
            f"{PUBLIC}, {route('a', 'path: /api/1')},"
            f" {route('admin', 'path: /api/1/x, methods: [PUT]')}",
            "GET https://app.example.com/api/1/x/x",
            id="another-route-has-the-path-below-but-not-the-method",
        ),
        pytest.param(
            f"{PUBLIC}, {PROTECTED}, {route('more', 'path: /api/more')}",
            "GET https://app.example.com/api/admin/x",
            id="told-once",
        ),
    ],
)
def test_public_patterns_around_protected_ones(read: Read, routes: str, request_: str) -> None:
    """A request of that kind reaches the app without a credential."""
    around = [each for each in found(read, routes) if each[0] == AROUND]
    message = f"public, and around admin: {request_} needs no credential"
    assert [(AROUND, "routes[0]", message)] == around


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param(route("a", "path: /a/*", "auth: none"), id="public-alone"),
        pytest.param(f"{PUBLIC}, {route('x', 'path: /other')}", id="elsewhere"),
        pytest.param(
            f"{PUBLIC}, {PROTECTED.replace('upstream: app', 'upstream: b')}", id="another-app"
        ),
        pytest.param(
            f"{route('one', 'path: /1/*', 'auth: none')}, {route('two', 'path: /1/2/*')}",
            id="a-path-without-letters",
        ),
        pytest.param(
            f"{PUBLIC}, {route('below', 'path: /api/admin/*')}, {route('up', 'path: /api/ADMIN/*')}"
            f", {route('all', 'path: /*')}",
            id="the-other-case-has-a-route-of-its-own",
        ),
        pytest.param(
            f"{PUBLIC}, {route('a', 'host: app.example.com, path: /api/1/*')},"
            f" {route('b', 'path: /api/1/*')}",
            id="all-other-hosts-have-a-route-of-their-own",
        ),
    ],
)
def test_no_public_pattern_around(read: Read, routes: str) -> None:
    """What no other request reaches is not told."""
    more = TWO_APPS if "upstream: b" in routes else ""
    assert AROUND not in [code for code, _, _ in found(read, routes, more)]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param(
            f"{route('admin', 'path: /admin/*', STAFF)}, {route('rest', 'path: /*')}",
            [("routes[0].match.path", "GET https://app.example.com/ADMIN", "rest")],
            id="without-its-rules",
        ),
        pytest.param(
            f"{route('admin', 'path: /x/ADMIN', STAFF)}, {route('rest', 'path: /x/*')},"
            f" {route('all', 'path: /*')}",
            [("routes[0].match.path", "GET https://app.example.com/x/admin", "rest")],
            id="told-once",
        ),
        pytest.param(
            f"{route('admin', 'path: /admin/*', STAFF)}, {route('rest', 'path: /*', STAFF)}",
            [],
            id="with-rules-of-its-own",
        ),
        pytest.param(
            f"{route('admin', 'path: /1/*', STAFF)}, {route('rest', 'path: /*')}",
            [],
            id="no-letters",
        ),
    ],
)
def test_paths_in_another_case(
    read: Read, routes: str, expected: list[tuple[str, str, str]]
) -> None:
    """An app that ignores case serves such a request as one of the stricter route."""
    told = [
        (CASE, key, f"an app that ignores case takes {request} for it, which {name} lets pass")
        for key, request, name in expected
    ]
    assert told == [each for each in found(read, routes) if each[0] == CASE]


def test_a_route_that_is_hidden(read: Read) -> None:
    """The message has a request that it matches, and the route that takes it."""
    routes = (
        f"{route('read', 'path: /a, methods: [GET]')}, {route('head', 'path: /a, methods: [HEAD]')}"
    )
    ((code, key, message),) = found(read, routes)
    assert (NEVER, "routes[1]") == (code, key)
    assert message.endswith("all its methods: read has HEAD https://app.example.com/a")


def test_what_a_proxy_asks_about_has_no_app(read: Read) -> None:
    """A forward-auth route protects a path of an app that the gateway does not know."""
    proxies = "server: {public_url: 'https://a', trusted_proxies: [10.0.0.1]}\n"
    assert [] == found(read, f"{PUBLIC}, {{name: check, match: {{path: /api/x}}}}", proxies)


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        pytest.param(
            f"{HOME}, {route('help', 'path: /help/*')}",
            "site, which has a host, takes GET https://app.example.com/help",
            id="by-the-public-host",
        ),
        pytest.param(
            f"{HOME}, {route('help', SIBLING + 'path: /help, methods: [PUT, POST]')}",
            "site, which has a host, takes POST https://app.example.com/help",
            id="a-wildcard-is-hidden-too",
        ),
        pytest.param(
            f"{route('site', SIBLING + 'path: /*')}, {route('help', 'path: /help')}",
            "site, which has a host, takes GET https://app.example.com/help",
            id="by-a-wildcard",
        ),
        pytest.param(f"{HOME}, {route('all', 'path: /*')}", "", id="all-other-hosts"),
        pytest.param(
            f"{route('a', 'host: app.example.com, path: /a/*')}, {route('b', 'path: /a/*')}",
            "",
            id="the-same-path-on-other-hosts",
        ),
        pytest.param(
            f"{HOME}, {route('help', 'host: app.example.com, path: /help')}",
            "",
            id="on-the-same-host",
        ),
        pytest.param(
            f"{HOME}, {route('help', 'host: b.example.com, path: /help')}", "", id="on-another-host"
        ),
        pytest.param(
            f"{route('site', 'host: app.example.com, path: /*, methods: [GET]')},"
            f" {route('help', 'path: /help, methods: [PUT]')}",
            "",
            id="of-a-method-that-the-host-refuses",
        ),
        pytest.param(f"{route('a', 'path: /*')}, {route('b', 'path: /b')}", "", id="without-hosts"),
    ],
)
def test_routes_that_are_hidden_on_the_public_host(read: Read, routes: str, told: str) -> None:
    """A wider path goes first where it has the host that browsers ask for."""
    messages = [message for code, _, message in found(read, routes) if code == "route-hidden"]
    assert [f"hidden where browsers come: {told}"] * bool(told) == messages
