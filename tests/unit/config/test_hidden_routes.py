"""Which routes hide others."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.hidden_routes import HiddenRoutes
from gateway.config.schema import RouteSettings
from gateway.core.errors import MethodNotAllowed, NoRoute
from gateway.core.route import Route
from gateway.routing.table import RouteTable

APP, WILD = "app.example.com", "*.example.com"


def route(name: str, path: str, **about: object) -> RouteSettings:
    """The settings of a route; ``host`` and ``methods`` are conditions."""
    match = {"path": path} | {key: about.pop(key) for key in ("host", "methods") if key in about}
    return RouteSettings.model_validate({"name": name, "match": match, **about})


def hidden(routes: Sequence[RouteSettings]) -> dict[str, list[str]]:
    """The names of hidden routes, by the name of the route that hides them."""
    found = HiddenRoutes(routes)
    names = {
        entry.name: [other.name for other in found.hidden_by(number)]
        for number, entry in enumerate(routes)
    }
    return {name: others for name, others in names.items() if others}


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param([route("a", "/a/*"), route("b", "/b/*")], {}, id="apart"),
        pytest.param([route("a", "/a"), route("b", "/b", host=APP)], {}, id="apart-on-two-hosts"),
        pytest.param(
            [route("public", "/public/*"), route("admin", "/*", host=APP)],
            {"admin": ["public"]},
            id="a-host-hides-longer-paths",
        ),
        pytest.param(
            [route("all", "/*"), route("admin", "/a/b", host=APP)],
            {"admin": ["all"]},
            id="a-host-hides-shorter-paths",
        ),
        pytest.param(
            [route("all", "/*"), route("wild", "/a/*", host=WILD), route("app", "/*", host=APP)],
            {"wild": ["all"], "app": ["all", "wild"]},
            id="a-host-hides-wildcards",
        ),
        pytest.param(
            [route("wild", "/*", host=WILD), route("deep", "/*", host="*.app.example.com")],
            {"deep": ["wild"]},
            id="a-longer-wildcard-hides-a-shorter",
        ),
        pytest.param(
            [route("app", "/*", host=APP), route("other", "/*", host="other.example.com")],
            {},
            id="hosts-do-not-hide-each-other",
        ),
        pytest.param(
            [route("all", "/*"), route("a", "/a/*"), route("ab", "/a/b"), route("abc", "/a/b/*")],
            {"a": ["all"], "ab": ["all", "a", "abc"], "abc": ["all", "a"]},
            id="longer-paths-hide-shorter",
        ),
        pytest.param(
            [route("get", "/a", methods=["GET"]), route("any", "/a")],
            {"get": ["any"]},
            id="named-methods-hide-any",
        ),
        pytest.param(
            [route("get", "/a", methods=["GET"]), route("put", "/a", methods=["PUT"])],
            {},
            id="methods-do-not-hide-each-other",
        ),
        pytest.param(
            [route("get", "/a", methods=["GET"]), route("head", "/a", methods=["HEAD", "PUT"])],
            {"get": ["head"]},
            id="get-hides-head",
        ),
        pytest.param(
            [route("a", "/a"), route("as", "/a/")], {"as": ["a"]}, id="a-slash-at-the-end"
        ),
        pytest.param(
            [route("a", "/a-b/*"), route("b", "/a/*", host=APP)], {}, id="another-name-is-not-below"
        ),
    ],
)
def test_hidden_routes(routes: list[RouteSettings], expected: dict[str, list[str]]) -> None:
    """A route hides those whose requests it takes, wholly or in part."""
    assert expected == hidden(routes)


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ([["GET"], ["HEAD"]], [False, True]),
        ([["GET"], ["PUT"], ["GET", "PUT"]], [False, False, True]),
        ([["GET"], ["GET", "PUT"]], [False, False]),
        ([["GET"], None], [False, False]),
    ],
)
def test_a_route_that_takes_nothing(methods: list[list[str] | None], expected: list[bool]) -> None:
    """Earlier routes of the same host and path have all its methods."""
    routes = [
        route(f"r{n}", "/a", **({} if names is None else {"methods": names}))
        for n, names in enumerate(methods)
    ]
    found = HiddenRoutes(routes)
    assert expected == [found.takes_nothing(number) for number in range(len(routes))]


@pytest.mark.parametrize(
    ("hosted", "hidden_route", "expected"),
    [
        ({"auth": "none"}, {}, True),
        ({"auth": "optional"}, {}, True),
        ({"auth": "none"}, {"auth": "none"}, False),
        ({}, {"auth": "optional"}, False),
        ({}, {"allow": {"roles": ["admin"]}}, True),
        ({"allow": {"roles": ["staff"]}}, {"allow": {"roles": ["admin"]}}, False),
        ({}, {"deny": {"roles": ["banned"]}}, True),
        ({"auth": "none", "upstream": "other"}, {"upstream": "app"}, False),
    ],
)
@pytest.mark.parametrize("path", ["/a/*", "/a/b/*", "/a/b"])
def test_rules_that_are_lost(
    hosted: dict[str, object], hidden_route: dict[str, object], expected: bool, path: str
) -> None:
    """A route with a host takes paths of another one of its app, and lacks the rules of that."""
    routes = [route("h", "/a/*", host=APP, **hosted), route("x", path, **hidden_route)]
    found = HiddenRoutes(routes)
    assert (["x"] if expected else []) == [other.name for other in found.losing_rules(0)]
    assert [] == found.losing_rules(1)


@pytest.mark.parametrize(
    ("repeated", "expected"),
    [("/a/b", []), ("/a/b/*", []), ("/a/*", []), ("/a/b/c", ["x"]), ("/c/*", ["x"])],
)
def test_rules_that_are_repeated(repeated: str, expected: list[str]) -> None:
    """The remedy helps: a closer route of the host takes the paths."""
    about = {"allow": {"roles": ["admin"]}}
    routes = [
        route("h", "/*", host=APP),
        route("x", "/a/b", **about),
        route("again", repeated, host=APP, **about),
    ]
    assert expected == [other.name for other in HiddenRoutes(routes).losing_rules(0)]


def test_a_broader_path_loses_no_rules() -> None:
    """A public path below a protected one is meant."""
    found = HiddenRoutes([route("h", "/a/*", host=APP, auth="none"), route("all", "/*")])
    assert [] == found.losing_rules(0)


_PATHS = ["/", "/*", "/a", "/a/", "/a/*", "/a/b", "/a/b/*", "/a-b"]
_HOSTS = [None, APP, WILD, "*.app.example.com", "x.app.example.com"]
_ENTRIES = st.lists(
    st.tuples(st.sampled_from(_PATHS), st.sampled_from(_HOSTS)), max_size=2, unique=True
)


@given(_ENTRIES)
def test_what_hides_is_what_the_table_prefers(entries: list[tuple[str, str | None]]) -> None:
    """Of two routes, one hides the other exactly where it takes requests that both match."""
    routes = [
        route(f"r{n}", path, **({"host": host} if host else {}))
        for n, (path, host) in enumerate(entries)
    ]
    compiled = [Route(r.name, r.match.path, "", host=r.match.host) for r in routes]
    table = RouteTable(compiled)
    expected: dict[str, set[str]] = {}
    for host in (APP, "x.example.com", "x.app.example.com", "y.app.example.com", "localhost"):
        for path in ("/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/c", "/a-b", "/a-b/", "/z"):
            matching = {name for r in compiled if (name := _only(r, host, path))}
            if matching:
                taken = table.match(host, path, "GET").name
                expected.setdefault(taken, set()).update(matching - {taken})
    assert {name: others for name, others in expected.items() if others} == {
        name: set(others) for name, others in hidden(routes).items()
    }


def _only(one: Route, host: str, path: str) -> str | None:
    """The name of the route if it matches by itself."""
    try:
        return RouteTable([one]).match(host, path, "GET").name
    except (NoRoute, MethodNotAllowed):
        return None
