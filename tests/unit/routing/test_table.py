"""The route table: the host decides first, then the path, then the method, at a constant cost."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import MethodNotAllowed, NoRoute
from gateway.core.route import Route
from gateway.routing.table import RouteTable


def route(
    path: str, name: str = "", host: str | None = None, methods: Iterable[str] | None = None
) -> Route:
    """Make a route called ``name``, or by its path."""
    wanted = None if methods is None else frozenset(methods)
    return Route(name or path, path, "app", host=host, methods=wanted)


def chosen(routes: list[Route], host: str, path: str, method: str) -> str | None:
    """Return the name of the route that matches, the methods of a 405 after a mark, or None."""
    try:
        return RouteTable(routes).match(host, path, method).name
    except NoRoute:
        return None
    except MethodNotAllowed as refusal:
        return f"405 {', '.join(refusal.allowed)}"


APP, OTHER = "app.example.com", "other.example.com"
WILD, DEEP = "*.example.com", "*.app.example.com"


@pytest.mark.parametrize(
    ("routes", "request_line", "expected"),
    [
        pytest.param([], (APP, "/", "GET"), None, id="no-routes"),
        pytest.param([route("/a")], (APP, "/a", "GET"), "/a", id="an-exact-path"),
        pytest.param([route("/a")], (APP, "/a/", "GET"), "/a", id="an-exact-path-with-a-slash"),
        pytest.param(
            [route("/a"), route("/*")], (APP, "/a/", "GET"), "/a", id="it-is-no-way-past-the-route"
        ),
        pytest.param(
            [route("/a"), route("/a/")], (APP, "/a/", "GET"), "/a/", id="unless-that-has-a-route"
        ),
        pytest.param([route("/a")], (APP, "/A", "GET"), None, id="paths-have-case"),
        pytest.param([route("/a")], (APP, "/a/b", "GET"), None, id="nothing-below-an-exact-path"),
        pytest.param([route("/")], (APP, "/", "GET"), "/", id="the-root-alone"),
        pytest.param([route("/")], (APP, "/a", "GET"), None, id="the-root-is-no-prefix"),
        pytest.param([route("/*")], (APP, "/", "GET"), "/*", id="everything-covers-the-root"),
        pytest.param([route("/*")], (APP, "/a/b", "GET"), "/*", id="everything-covers-all"),
        pytest.param(
            [route("/admin/*")], (APP, "/admin/users", "GET"), "/admin/*", id="below-a-prefix"
        ),
        pytest.param(
            [route("/admin/*")], (APP, "/admin/", "GET"), "/admin/*", id="the-prefix-with-slash"
        ),
        pytest.param(
            [route("/admin/*")], (APP, "/admin", "GET"), "/admin/*", id="the-prefix-without-slash"
        ),
        pytest.param(
            [route("/admin/*")], (APP, "/administrator", "GET"), None, id="a-longer-name-is-another"
        ),
        pytest.param(
            [route("/admin/*")], (APP, "/admin;x", "GET"), None, id="parameters-make-another-name"
        ),
        pytest.param([route("/admin/*")], (APP, "/", "GET"), None, id="above-a-prefix"),
        pytest.param(
            [route("/a/*"), route("/a/b")], (APP, "/a/b", "GET"), "/a/b", id="exact-before-prefix"
        ),
        pytest.param(
            [route("/*"), route("/a/*"), route("/a/b/*")],
            (APP, "/a/b/c", "GET"),
            "/a/b/*",
            id="the-longest-prefix",
        ),
        pytest.param(
            [route("/a/b/*"), route("/a/*")],
            (APP, "/a/c/d/e/f", "GET"),
            "/a/*",
            id="a-shorter-prefix-where-the-longer-does-not-fit",
        ),
        pytest.param(
            [route("/x", "any"), route("/x", "named", host=APP)],
            (APP, "/x", "GET"),
            "named",
            id="a-named-host-before-any",
        ),
        pytest.param(
            [route("/x", "any"), route("/x", "named", host=APP)],
            (OTHER, "/x", "GET"),
            "any",
            id="any-host-for-the-others",
        ),
        pytest.param(
            [route("/x", "named", host=APP)], (OTHER, "/x", "GET"), None, id="no-host-fits"
        ),
        pytest.param(
            [route("/x", "named", host=APP)], ("", "/x", "GET"), None, id="no-host-was-said"
        ),
        pytest.param(
            [route("/x", "any"), route("/x", "some", methods=["GET"])],
            (APP, "/x", "GET"),
            "some",
            id="named-methods-before-any",
        ),
        pytest.param(
            [route("/x", "any"), route("/x", "some", methods=["GET"])],
            (APP, "/x", "POST"),
            "any",
            id="any-method-for-the-others",
        ),
        pytest.param(
            [route("/x", "some", methods=["GET", "HEAD"]), route("/x", "more", methods=["PUT"])],
            (APP, "/x", "POST"),
            "405 GET, HEAD, PUT",
            id="no-method-fits",
        ),
        pytest.param(
            [route("/x", "some", methods=["GET"]), route("/x", "more", methods=["PUT"])],
            (APP, "/x", "PUT"),
            "more",
            id="the-route-of-the-method",
        ),
        pytest.param(
            [route("/x", "methods", methods=["GET"]), route("/x", "host", host=APP)],
            (APP, "/x", "GET"),
            "host",
            id="a-named-host-before-named-methods",
        ),
        pytest.param(
            [route("/x/*", "host", host=APP), route("/x", "exact")],
            (APP, "/x", "GET"),
            "host",
            id="the-host-before-the-path",
        ),
        pytest.param(
            [route("/*", "admin", host=APP), route("/public/*", "public")],
            (APP, "/public/x", "GET"),
            "admin",
            id="a-named-host-takes-its-requests",
        ),
        pytest.param(
            [route("/a/*", "a", host=APP), route("/*", "any")],
            (APP, "/b", "GET"),
            "any",
            id="paths-that-a-named-host-does-not-match-fall-to-any-host",
        ),
        pytest.param(
            [route("/a", "a", host=APP, methods=["GET"]), route("/*", "any")],
            (APP, "/a", "PUT"),
            "405 GET",
            id="methods-that-a-named-host-does-not-match-fall-nowhere",
        ),
        pytest.param(
            [route("/*", "wild", host=WILD), route("/x", "any")],
            (APP, "/x", "GET"),
            "wild",
            id="a-wildcard-before-any-host",
        ),
        pytest.param(
            [route("/x", "wild", host=WILD), route("/*", "named", host=APP)],
            (APP, "/x", "GET"),
            "named",
            id="a-named-host-before-a-wildcard",
        ),
        pytest.param(
            [route("/x", "wild", host=WILD), route("/y", "named", host=APP)],
            (APP, "/x", "GET"),
            "wild",
            id="paths-that-a-named-host-does-not-match-fall-to-a-wildcard",
        ),
        pytest.param(
            [route("/x", "wild", host=WILD), route("/*", "deep", host=DEEP)],
            ("a.app.example.com", "/x", "GET"),
            "deep",
            id="a-longer-wildcard-before-a-shorter",
        ),
        pytest.param(
            [route("/*", "wild", host=WILD)],
            ("a.b.example.com", "/", "GET"),
            "wild",
            id="a-wildcard-covers-every-depth",
        ),
        pytest.param(
            [route("/*", "wild", host=WILD)],
            ("example.com", "/", "GET"),
            None,
            id="a-wildcard-does-not-cover-the-domain-itself",
        ),
        pytest.param(
            [route("/*", "wild", host=WILD)],
            ("badexample.com", "/", "GET"),
            None,
            id="a-wildcard-ends-at-a-label",
        ),
        pytest.param(
            [route("/x", "first"), route("/x", "second")],
            (APP, "/x", "GET"),
            "first",
            id="the-order-of-the-file-at-last",
        ),
        pytest.param(
            [route("/x", "get", methods=["GET"]), route("/x/*", "rest")],
            (APP, "/x", "POST"),
            "405 GET",
            id="never-a-broader-route-for-another-method",
        ),
        pytest.param(
            [route("/admin/*", "admin", methods=["GET", "POST"]), route("/*", "rest")],
            (APP, "/admin/x", "DELETE"),
            "405 GET, POST",
            id="never-a-shorter-prefix-for-another-method",
        ),
        pytest.param(
            [route("/a/b/*", "there", host=OTHER), route("/*", "all")],
            (APP, "/a/b/c", "GET"),
            "all",
            id="a-shorter-prefix-where-the-longer-wants-another-host",
        ),
    ],
)
def test_the_most_specific_route_wins(
    routes: list[Route], request_line: tuple[str, str, str], expected: str | None
) -> None:
    """Host, exact before prefix, longer before shorter, named methods, order of the file."""
    assert expected == chosen(routes, *request_line)


@pytest.mark.parametrize("host", [None, APP, WILD])
def test_no_route_shadows_the_gateways_own_pages(host: str | None) -> None:
    """They go before all routes on every host; paths beside them are the routes'."""
    own = [route("/_gateway/login", "login", methods=["GET"]), route("/_gateway/*", "own")]
    table = RouteTable([route("/*", "all", host=host)], own_pages=own)
    names = [
        table.match(APP, path, "GET").name
        for path in ("/_gateway/login", "/_gateway/x", "/_gateway", "/_gatewayx", "/_", "/")
    ]
    assert ["login", "own", "own", "all", "all", "all"] == names
    with pytest.raises(MethodNotAllowed):
        table.match(APP, "/_gateway/login", "PUT")


class CountingDict(dict[str, Any]):
    """Counts look-ups."""

    asked = 0

    def get(self, *args: Any) -> Any:
        CountingDict.asked += 1
        return super().get(*args)


def look_ups(routes: list[Route], path: str, host: str = APP) -> int:
    """Count the look-ups that find the route of ``path``."""
    table, CountingDict.asked = RouteTable(routes), 0
    table._hosts = CountingDict(table._hosts)
    table._wildcards = CountingDict(table._wildcards)
    for paths in (table._any_host, *table._hosts.values(), *table._wildcards.values()):
        paths._exact, paths._prefix = CountingDict(paths._exact), CountingDict(paths._prefix)
    table.match(host, path, "GET")
    return CountingDict.asked


def test_the_cost_does_not_grow_with_the_routes() -> None:
    """Ten thousand routes take as many look-ups as one."""
    many = [route(f"/r{number}/*") for number in range(10_000)]
    assert 2 == look_ups([route("/r0/*"), route("/*")], "/x/y")
    assert 2 == look_ups([*many, route("/*")], "/x/y")
    assert 3 == look_ups([*many, route("/*")], "/r7/y")


def test_the_cost_does_not_grow_with_the_hosts() -> None:
    """Ten thousand hosts take as many look-ups as one; a wildcard takes one for each label."""
    many = [route("/*", host=f"h{number}.example.com") for number in range(10_000)]
    wild = [route("/*", host=f"*.h{number}.example.com") for number in range(10_000)]
    assert 2 == look_ups([route("/*", host=APP)], "/x/y")
    assert 2 == look_ups([*many, *wild, route("/*", host=APP)], "/x/y")
    assert 3 == look_ups([*many, *wild], "/x/y", host="a.h7.example.com")


def test_the_cost_does_not_grow_with_the_path() -> None:
    """A path of thousands of segments takes no more look-ups than the longest prefix is deep."""
    routes = [route("/a/b/*"), route("/*")]
    assert 2 == look_ups(routes, "/x" * 8_000)
    assert 4 == look_ups(routes, "/a/b" + "/x" * 8_000)


_PATHS = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4).map(
    lambda segments: "/" + "/".join(segments).lstrip("/").replace("//", "/").replace("//", "/")
)
_HOSTS = [None, APP, OTHER, WILD, DEEP]
_ROUTES = st.builds(
    route,
    path=_PATHS | _PATHS.map(lambda path: path.removesuffix("/") + "/*"),
    name=st.uuids().map(str),
    host=st.sampled_from(_HOSTS),
    methods=st.sampled_from([None, ["GET"], ["GET", "POST"], ["PUT"]]),
)


def by_hand(routes: list[Route], host: str, path: str, method: str) -> str | None:
    """Find the route without a table: the best of all that match, rule by rule."""

    def names(route: Route) -> bool:
        if route.host is None:
            return True
        return host == route.host or (route.host[0] == "*" and host.endswith(route.host[1:]))

    def covers(route: Route) -> bool:
        if route.path.endswith("/*"):
            return path == route.path[:-2] or path.startswith(route.path[:-1])
        return path in (route.path, route.path + "/")

    def rank_of_host(route: Route) -> tuple[bool, bool, int]:
        return (route.host is None, "*" in str(route.host), -len(str(route.host)))

    def rank_of_path(route: Route) -> tuple[bool, int]:
        return (route.path.endswith("/*"), -len(route.path))

    fitting = [route for route in routes if names(route) and covers(route)]
    if not fitting:
        return None
    host_first = min(fitting, key=rank_of_host)
    of_host = [route for route in fitting if route.host == host_first.host]
    path_next = min(of_host, key=rank_of_path)
    group = [route for route in of_host if route.path == path_next.path]
    naming = [route.name for route in group if method in (route.methods or ())]
    any_method = [route.name for route in group if route.methods is None]
    allowed = {name for route in group for name in route.methods or ()}
    return [*naming, *any_method, f"405 {', '.join(sorted(allowed))}"][0]


@given(
    st.lists(_ROUTES, max_size=8),
    st.sampled_from([APP, OTHER, "a.app.example.com", "example.com", "localhost", ""]),
    _PATHS,
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
)
def test_the_table_finds_what_the_rules_say(
    routes: list[Route], host: str, path: str, method: str
) -> None:
    """The compiled table and a walk over all routes agree on every request."""
    assert by_hand(routes, host, path, method) == chosen(routes, host, path, method)
