"""
All requests, divided by the patterns of two configs: those of one cell take the same route in each.

A cell is a class of hosts, one of paths and one of methods. `Cells.probes` has one request of each
cell; `Cells.cell_of` finds the cell of a request. Nothing else than these three chooses a route,
see `gateway.routing.table`.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import NamedTuple

from gateway.config.lint_reach import covers_host
from gateway.core.method import KNOWN_METHODS, UNFORWARDED
from gateway.core.route import Route

OTHERS, UNKNOWN = "others", "unknown"
"""Classes of methods: known ones that no route or rule names, and those that are not known."""
_OTHER_HOSTS = ("other.example.org", *(f"other{n}.example.org" for n in range(1, 100)))


class Cell(NamedTuple):
    """A class of requests, by patterns."""

    host: str | None
    """A host or a wildcard; None for all hosts that have no pattern."""
    path: str
    """An exact path, or a prefix with ``/*``; empty for all paths that have no pattern."""
    method: str
    """A method, `OTHERS` or `UNKNOWN`."""


class Probe(NamedTuple):
    """One request of a cell."""

    cell: Cell
    host: str
    path: str
    method: str


class Cells:
    """The cells of two lists of routes."""

    def __init__(self, routes: Iterable[Route], public_hosts: Iterable[str] = ()) -> None:
        """Divide by all of ``routes``. ``public_hosts`` are preferred for hosts without pattern."""
        self._by_host: dict[str | None, set[str]] = {None: set()}
        named = {"GET"}
        for route in routes:
            self._by_host.setdefault(route.host, set()).add(route.path)
            named |= route.methods or frozenset()
            for rule in (*route.allow, *route.deny):
                named |= rule.methods
        self._named = named - UNFORWARDED
        self._public_hosts = tuple(public_hosts)
        self.has_hosts = len(self._by_host) > 1
        """Whether a pattern names a host."""
        self.known_methods = frozenset({*self._named, OTHERS})
        """The classes of methods of a route that lists none."""
        self._patterns: dict[str | None, frozenset[str]] = {}

    def probes(self) -> Iterator[Probe]:
        """Iterate over one request of each cell."""
        methods = list(self._methods())
        for host_class in self._by_host:
            host = self._sample_host(host_class)
            for path_class, path in self._paths(host_class):
                for method_class, method in methods:
                    cell = Cell(host_class, path_class, method_class)
                    yield Probe(cell, host, path, method)

    def cell_of(self, host: str, path: str, method: str) -> Cell:
        """Return the cell of a request with a canonical host and path."""
        host_class = self._host_class(host)
        return Cell(host_class, self._path_class(host_class, path), self._method_class(method))

    # --- hosts ---------------------------------------------------------------------------------

    def _host_class(self, host: str) -> str | None:
        if host in self._by_host:
            return host
        wildcards = [
            each for each in self._by_host if each and each[0] == "*" and covers_host(each, host)
        ]
        return max(wildcards, key=len, default=None)

    def _sample_host(self, host_class: str | None) -> str:
        """Return a host of a class."""
        if host_class is None:
            candidates: Iterable[str] = (*self._public_hosts, *_OTHER_HOSTS)
        elif host_class.startswith("*."):
            candidates = (f"{label}{host_class[1:]}" for label in _labels("any"))
        else:
            return host_class
        return next(host for host in candidates if self._host_class(host) == host_class)

    # --- paths ---------------------------------------------------------------------------------

    def _of(self, host_class: str | None) -> frozenset[str]:
        """Return the path patterns of all routes that a host of the class may take."""
        found = self._patterns.get(host_class)
        if found is None:
            host = self._sample_host(host_class)
            sets = (paths for each, paths in self._by_host.items() if covers_host(each, host))
            found = self._patterns[host_class] = frozenset[str]().union(*sets)
        return found

    def _path_class(self, host_class: str | None, path: str) -> str:
        patterns, start = self._of(host_class), path.removesuffix("/")
        if path in patterns or start in patterns:
            return path
        while True:
            if f"{start}/*" in patterns:
                return f"{start}/*"
            if not start:
                return ""
            start = start[: start.rindex("/")]

    def _paths(self, host_class: str | None) -> Iterator[tuple[str, str]]:
        """Iterate over the classes of paths, with a path of each."""
        patterns = self._of(host_class)
        for pattern in sorted(patterns):
            if pattern.endswith("/*"):
                yield pattern, self._below(host_class, pattern)
                continue
            yield pattern, pattern
            if not pattern.endswith("/") and f"{pattern}/" not in patterns:
                yield f"{pattern}/", f"{pattern}/"
        if "/*" not in patterns:
            yield "", self._below(host_class, "")

    def _below(self, host_class: str | None, pattern: str) -> str:
        """Return a path of a prefix, which no longer pattern has."""
        start = pattern.removesuffix("/*")
        candidates = (f"{start}/{label}" for label in _labels("x"))
        return next(path for path in candidates if self._path_class(host_class, path) == pattern)

    # --- methods -------------------------------------------------------------------------------

    def _method_class(self, method: str) -> str:
        if method in self._named or method in UNFORWARDED:  # which no config lets pass
            return method
        return OTHERS if method in KNOWN_METHODS else UNKNOWN

    def _methods(self) -> Iterator[tuple[str, str]]:
        """Iterate over the classes of methods, with a method of each."""
        yield from ((name, name) for name in sorted(self._named, key=_usual_first))
        if others := KNOWN_METHODS - self._named - UNFORWARDED:
            yield OTHERS, min(others, key=_usual_first)
        yield UNKNOWN, next(name for name in _labels("NEW") if name not in self._named)


def _labels(text: str) -> Iterator[str]:
    """Iterate over ``text``, and over ``text`` with a number."""
    yield text
    yield from (f"{text}{number}" for number in count(1))


def _usual_first(method: str) -> tuple[int, str]:
    usual = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
    return (usual.index(method) if method in usual else len(usual)), method
