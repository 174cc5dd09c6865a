"""The route table: the most specific route wins, at a constant cost."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import NoRoute
from gateway.core.route import Route
from gateway.routing.table import RouteTable


def route(
    path: str, name: str = "", host: str | None = None, methods: Iterable[str] | None = None
) -> Route:
    """Make a route called ``name``, or by its path."""
    wanted = None if methods is None else frozenset(methods)
    return Route(name or path, path, "app", host=host, methods=wanted)


def chosen(routes: list[Route], host: str, path: str, method: str) -> str | None:
    """Return the name of the route that matches, or None."""
    try:
        return RouteTable(routes).match(host, path, method).name
    except NoRoute:
        return None


APP, OTHER = "app.example.com", "other.example.com"


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
            [route("/x", "some", methods=["GET"])], (APP, "/x", "POST"), None, id="no-method-fits"
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
            "exact",
            id="the-path-before-the-host",
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
            "rest",
            id="a-prefix-where-the-exact-path-wants-another-method",
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
    """Exact before prefix, longer before shorter, named host, named methods, order of the file."""
    assert expected == chosen(routes, *request_line)


class CountingDict(dict[str, list[Route]]):
    """Counts look-ups."""

    asked = 0

    def get(self, *args: Any) -> Any:
        self.asked += 1
        return super().get(*args)


def look_ups(routes: list[Route], path: str) -> int:
    """Count the look-ups that find the route of ``path``."""
    table = RouteTable(routes)
    table._exact, table._prefix = CountingDict(table._exact), CountingDict(table._prefix)
    table.match(APP, path, "GET")
    return table._exact.asked + table._prefix.asked


def test_the_cost_does_not_grow_with_the_routes() -> None:
    """Ten thousand routes take as many look-ups as one."""
    many = [route(f"/r{number}/*") for number in range(10_000)]
    assert 3 == look_ups([route("/r0/*"), route("/*")], "/x/y")
    assert 3 == look_ups([*many, route("/*")], "/x/y")


def test_the_cost_does_not_grow_with_the_path() -> None:
    """A path of thousands of segments takes no more look-ups than the longest prefix is deep."""
    assert 4 == look_ups([route("/a/b/*"), route("/*")], "/x" * 8_000)


_PATHS = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4).map(
    lambda segments: "/" + "/".join(segments).lstrip("/").replace("//", "/").replace("//", "/")
)
_ROUTES = st.builds(
    route,
    path=_PATHS | _PATHS.map(lambda path: path.removesuffix("/") + "/*"),
    name=st.uuids().map(str),
    host=st.sampled_from([None, APP, OTHER]),
    methods=st.sampled_from([None, ["GET"], ["GET", "POST"]]),
)


def by_hand(routes: list[Route], host: str, path: str, method: str) -> str | None:
    """Find the route without a table: sort all that match."""

    def covers(prefix: str) -> bool:
        return path == prefix or path.startswith(prefix + "/")

    def fits(route: Route) -> bool:
        return (
            (
                covers(route.path[:-2])
                if route.path.endswith("/*")
                else path in (route.path, route.path + "/")
            )
            and route.host in (None, host)
            and (route.methods is None or method in route.methods)
        )

    def rank(route: Route) -> tuple[bool, int, bool, bool]:
        is_prefix = route.path.endswith("/*")
        return (is_prefix, -len(route.path), route.host is None, route.methods is None)

    ranked = sorted(filter(fits, routes), key=rank)
    return ranked[0].name if ranked else None


@given(
    st.lists(_ROUTES, max_size=8),
    st.sampled_from([APP, OTHER, ""]),
    _PATHS,
    st.sampled_from(["GET", "POST", "PUT"]),
)
def test_the_table_finds_what_the_rules_say(
    routes: list[Route], host: str, path: str, method: str
) -> None:
    """The compiled table and a walk over all routes agree on every request."""
    assert by_hand(routes, host, path, method) == chosen(routes, host, path, method)
