"""The route of a request, by its method, target and Host."""

from dataclasses import replace
from importlib import import_module
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.errors import (
    BadHost,
    BadTarget,
    MethodNotAllowed,
    NoRoute,
    Refusal,
    UnsupportedMethod,
)
from gateway.core.request import RequestHead, Target
from gateway.core.route import Route
from gateway.routing import table
from gateway.routing.resolver import _LONGEST_CACHED, ResolvedRoute, RouteResolver
from gateway.routing.table import RouteTable
from tests.fakes.heads import request_head
from tests.fakes.kernel import NEEDS_KERNEL

HOST = "app.example.com"
APP = Route("app", "/*", "app", host=HOST)
ADMIN = Route("admin", "/admin/*", "app", host=HOST)
READ = Route("read", "/read", "app", host=HOST, methods=frozenset({"GET"}))
KEEPING = Route("keeping", "/keep/*", "app", host=HOST, keep_encoded_slashes=True)
MOVED = Route("moved", "/api/*", "app", host=HOST, prefix="/api", new_prefix="/v2")
OTHER = Route("other", "/*", "other", host="other.example.com")
ROUTES = (APP, ADMIN, READ, KEEPING, MOVED, OTHER)


def resolver(*routes: Route) -> RouteResolver:
    """A resolver of ``routes``, or of all of this file."""
    return RouteResolver(RouteTable(routes or ROUTES), HOST)


def resolved(
    target: str, host: str | None = HOST, method: str = "GET", version: tuple[int, int] = (1, 1)
) -> ResolvedRoute:
    """The route of a request."""
    head = request_head(method=method, target=target, host=host, version=version)
    return resolver().resolve(head)


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        pytest.param("/", HOST, "app", id="host-and-path"),
        pytest.param("/admin/users?a=1", "App.Example.COM.:8080", "admin", id="normalised-host"),
        pytest.param("/", "other.example.com", "other", id="another-host"),
        pytest.param(f"http://{HOST}/admin", HOST, "admin", id="absolute-form"),
        pytest.param("/%61dmin", HOST, "admin", id="escaped-letter"),
        pytest.param("/keep/a%2Fb", HOST, "keeping", id="encoded-slash-that-is-kept"),
        pytest.param("/read", HOST, "read", id="method"),
    ],
)
def test_routes(target: str, host: str, expected: str) -> None:
    """The canonical target and the normalised host are matched."""
    found = resolved(target, host)
    assert expected == found.route.name
    assert found.host == found.route.host


@pytest.mark.parametrize(
    ("target", "host", "method", "refusal"),
    [
        pytest.param("/", HOST, "TRACE", UnsupportedMethod, id="trace"),
        pytest.param("app.example.com:443", HOST, "CONNECT", UnsupportedMethod, id="connect"),
        pytest.param("/", "", "GET", BadHost, id="empty-host"),
        pytest.param("/", "a b", "GET", BadHost, id="malformed-host"),
        pytest.param("/", "third.example.com", "GET", NoRoute, id="unknown-host"),
        pytest.param("http://other.example.com/", HOST, "GET", BadHost, id="two-hosts"),
        pytest.param(f"http://{HOST}:81/", HOST, "GET", BadHost, id="two-ports"),
        pytest.param("/a/../b", HOST, "GET", BadTarget, id="dot-segment"),
        pytest.param("/a%2Fb", HOST, "GET", BadTarget, id="encoded-slash"),
        pytest.param("/admin;x/users", HOST, "GET", BadTarget, id="other-reading-other-route"),
        pytest.param("/read;x", HOST, "PUT", BadTarget, id="other-reading-other-methods"),
        pytest.param("/read", HOST, "PUT", MethodNotAllowed, id="method-of-no-route"),
        pytest.param("*", HOST, "OPTIONS", BadTarget, id="asterisk-form"),
    ],
)
def test_refusals(target: str, host: str, method: str, refusal: type[Exception]) -> None:
    """Ambiguous requests are refused, each time alike."""
    head, routes = request_head(method=method, target=target, host=host), resolver()
    for _ in range(2):
        with pytest.raises(refusal):
            routes.resolve(head)


@pytest.mark.parametrize("host", [None, ""])
def test_http_1_0_without_host_is_for_the_public_host(host: str | None) -> None:
    """HTTP/1.1 requires a Host (RFC 9112 section 3.2); HTTP/1.0 does not."""
    found = resolved("/", host, version=(1, 0))
    assert (HOST, "app") == (found.host, found.route.name)


def test_the_forwarded_target() -> None:
    """It is the matched one, unless the route replaces a prefix."""
    found = resolved("/%61pp?q=%61")
    assert Target("/app", "/app?q=%61", False) == found.target == found.forwarded
    moved = resolved("/api/users?q=1")
    assert "/api/users" == moved.target.path
    assert Target("/v2/users", "/v2/users?q=1", False) == moved.forwarded


def test_equal_requests_are_resolved_once() -> None:
    """Method, target and Host decide; long targets are not cached, to bound memory."""
    routes = resolver()
    short, long = request_head(target="/a"), request_head(target="/" + "a" * _LONGEST_CACHED)
    assert routes.resolve(short) is routes.resolve(short._replace(request_id="another"))
    assert routes.resolve(short) is not routes.resolve(short._replace(method="HEAD"))
    assert routes.resolve(long) is not routes.resolve(long)
    assert routes.resolve(long) == routes.resolve(long)


def test_each_config_has_its_own_routes() -> None:
    """A resolver never returns a route that another one cached."""
    head, changed = request_head(target="/a"), replace(APP, name="changed")
    assert [APP, changed] == [resolver(route).resolve(head).route for route in (APP, changed)]


ANY = Route("any", "/any", "app", host=HOST, takes_any_method=True)
LISTED = Route("listed", "/listed", "app", host=HOST, methods=frozenset({"FOO"}))


@pytest.mark.parametrize(
    ("method", "target"),
    [("FOO", "/any"), ("FOO", "/listed"), ("PROPFIND", "/any"), ("GET", "/any"), ("M-SEARCH", "/")],
)
def test_methods_that_the_route_takes(method: str, target: str) -> None:
    """Known ones, listed ones, and all others where the route says so."""
    head = request_head(method=method, target=target, host=HOST)
    assert resolver(ANY, LISTED, APP).resolve(head)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *(("FOO", "/"), ("BAR", "/listed"), ("foo", "/any"), ("get", "/any"), ("get", "/")),
        *(("TRACE", "/any"), ("CONNECT", "/any"), ("trace", "/any"), ("Connect", "/any")),
    ],
)
def test_methods_that_no_route_takes(method: str, target: str) -> None:
    """Unknown ones, and never one that opens a tunnel or echoes credentials."""
    with pytest.raises(UnsupportedMethod):
        resolver(ANY, LISTED, APP).resolve(request_head(method=method, target=target, host=HOST))


_KERNEL_ROUTES = (
    Route("all", "/*", "app"),
    Route("api", "/api/*", "app"),
    Route("post", "/api/b", "app", methods=frozenset({"POST"})),
    Route("exact", "/a/b", "app"),
    Route("slash", "/a/c/", "app"),
    Route("deep", "/a/b/c/*", "app"),
    Route("cut", "/cut/*", "app", prefix="/cut"),
)
_OWN = (Route("pages", "/_gateway/*", ""),)
_PIECES = [
    *"/abc.?#;%",
    "/api",
    "/a/b",
    "/cut",
    "//",
    "/..",
    "%41",
    "%2F",
    "~",
    "\xe9",
    "/_gateway/x",
]


@NEEDS_KERNEL
@given(
    st.lists(st.sampled_from(_PIECES), max_size=6).map(lambda pieces: "/" + "".join(pieces)),
    st.sampled_from(["GET", "POST", "CONNECT", "PURGE"]),
    st.sampled_from(["a.example", "A.example:80", "a..b"]),
    st.sampled_from([_KERNEL_ROUTES, _KERNEL_ROUTES[1:]]),
    st.sampled_from([_OWN, ()]),
)
@example("/a/c/", "GET", "a.example", _KERNEL_ROUTES, ())
@example("/a/b/?x=%41", "GET", "a.example", _KERNEL_ROUTES, ())
@example("/a/b/c/d", "GET", "a.example", _KERNEL_ROUTES, _OWN)
def test_targets_are_resolved_in_c_as_in_python(
    target: str,
    method: str,
    host: str,
    routes: tuple[Route, ...],
    own_pages: tuple[Route, ...],
) -> None:
    """To the same host, target and route, or with the same refusal."""
    head = request_head(method=method, target=target, host=host)
    found = [
        _outcome(head, routes, own_pages, module)
        for module in (None, import_module("gateway._kernel"))
    ]
    assert found[0] == found[1]


def _outcome(
    head: RequestHead,
    routes: tuple[Route, ...],
    own_pages: tuple[Route, ...],
    module: ModuleType | None,
) -> object:
    """What becomes of a head with one of both modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "KERNEL", module)
        resolver = RouteResolver(RouteTable(routes, own_pages), "public.example")
    try:
        return resolver.resolve(head)
    except Refusal as refusal:
        return type(refusal), refusal.reason
