"""Cells: classes of requests that take the same route."""

import pytest

from gateway.config.diff_space import OTHERS, UNKNOWN, Cell, Cells
from gateway.core.method import KNOWN_METHODS
from gateway.core.route import Route, Rule

PUBLIC = "app.example.com"


def cells(*routes: Route, hosts: tuple[str, ...] = (PUBLIC,)) -> Cells:
    return Cells(routes, hosts)


def route(path: str, host: str | None = None, methods: frozenset[str] | None = None) -> Route:
    return Route("r", path, "app", host=host, methods=methods)


ROUTES = (
    route("/*"),
    route("/a"),
    route("/a/b/*", "*.example.com"),
    route("/d/", "any.example.com", frozenset({"PURGE"})),
)


def test_each_probe_is_in_its_cell() -> None:
    """And no cell has two."""
    space = cells(*ROUTES)
    probes = list(space.probes())
    assert all(probe.cell == space.cell_of(*probe[1:]) for probe in probes)
    assert len({probe.cell for probe in probes}) == len(probes)


@pytest.mark.parametrize(
    ("host", "path", "method", "cell"),
    [
        ("other.org", "/x/y", "GET", Cell(None, "/*", "GET")),
        ("other.org", "/a", "PURGE", Cell(None, "/a", "PURGE")),
        ("other.org", "/a/", "PUT", Cell(None, "/a/", OTHERS)),
        ("other.org", "/a/b/c", "BREW", Cell(None, "/*", UNKNOWN)),
        ("b.example.com", "/a/b", "GET", Cell("*.example.com", "/a/b/*", "GET")),
        ("b.example.com", "/a/bc", "GET", Cell("*.example.com", "/*", "GET")),
        ("any.example.com", "/d/", "GET", Cell("any.example.com", "/d/", "GET")),
        ("any.example.com", "/d", "GET", Cell("any.example.com", "/*", "GET")),
        ("any.example.com", "/a/b/", "TRACE", Cell("any.example.com", "/a/b/*", "TRACE")),
        ("x.any.example.com", "/", "GET", Cell("*.example.com", "/*", "GET")),
    ],
)
def test_cells_of_requests(host: str, path: str, method: str, cell: Cell) -> None:
    """The most specific host and path patterns decide, and the methods that are named."""
    assert cell == cells(*ROUTES).cell_of(host, path, method)


def test_paths_and_hosts_without_a_pattern() -> None:
    """They are cells, too."""
    assert Cell(None, "", "GET") == cells(route("/a", "a.org")).cell_of("b.org", "/b", "GET")
    hosts = {probe.host for probe in cells().probes()}
    assert {PUBLIC} == hosts


def test_a_public_host_that_has_a_pattern_stands_for_no_other() -> None:
    """Another name does, then."""
    probes = cells(route("/a", PUBLIC)).probes()
    assert {PUBLIC, "other.example.org"} == {probe.host for probe in probes}


def test_methods_of_rules_are_named() -> None:
    """A rule for a method makes it a cell."""
    ruled = Route("r", "/a", "app", deny=(Rule(methods=frozenset({"PUT"})),))
    assert "PUT" in cells(ruled).known_methods
    assert "PUT" not in cells(route("/a")).known_methods


def test_all_methods_may_be_named() -> None:
    """Then no other is known, and a new one has another name than those that are listed."""
    space = cells(route("/a", methods=KNOWN_METHODS | {"NEW"}))
    found = {probe.cell.method: probe.method for probe in space.probes()}
    assert OTHERS not in found
    assert "NEW1" == found[UNKNOWN]


def test_a_sample_path_is_no_path_of_another_pattern() -> None:
    """Also where patterns have the name of samples."""
    probes = cells(route("/*"), route("/x"), route("/x1/*")).probes()
    samples = {probe.cell.path: probe.path for probe in probes}
    assert {"/*": "/x2", "/x": "/x", "/x/": "/x/", "/x1/*": "/x1/x"} == samples
