"""
The route table, compiled once: the cost of a match does not grow with the number of routes.

The host decides first: a named host before a wildcard, a longer wildcard before a shorter one, and
any host last. Routes of one host take all requests whose path one of them matches; only the others
fall to routes of a less specific host. Of the routes of one host an exact path goes before a
prefix, and a longer prefix before a shorter one. Methods choose among routes of the same host and
path pattern alone: named methods before any, then the order of the file.
"""

from collections.abc import Callable, Iterable, Iterator
from os.path import commonprefix

from gateway.core.errors import MethodNotAllowed, NoRoute
from gateway.core.request import Target
from gateway.core.route import Route
from gateway.util.kernel import KERNEL

_Bucket = list[Route]
"""Routes of one host and path pattern: named methods first, then in the order of the file."""

PlainReader = Callable[[str], tuple[Target, _Bucket] | None]
"""Returns a target that is canonical as it is, and the routes of its path; None for any other."""


class RouteTable:
    """The routes of one config; `match` makes one look-up for each segment of a prefix."""

    def __init__(self, routes: Iterable[Route], own_pages: Iterable[Route] = ()) -> None:
        """Compile ``routes``. Those of ``own_pages`` go before them on every host."""
        pages = tuple(own_pages)
        self._own_pages, self._has_own_pages = _PathTable(pages), bool(pages)
        starts = [page.path.removesuffix("/*") for page in pages]
        self._own_prefix = commonprefix(starts)  # noqa: RUF071 - by character, as `startswith`
        by_host: dict[str | None, list[Route]] = {None: []}
        for route in routes:
            by_host.setdefault(route.host, []).append(route)
        self._any_host = _PathTable(by_host.pop(None))
        tables = {host: _PathTable(found) for host, found in by_host.items() if host}
        self._wildcards = {h[1:]: table for h, table in tables.items() if h.startswith("*.")}
        """By the end of the host, with its dot: ``.example.com`` for ``*.example.com``."""
        self._hosts = {h: table for h, table in tables.items() if not h.startswith("*.")}
        self._has_hosts = bool(tables)

    def match(self, host: str, path: str, method: str) -> Route:
        """
        Return the route for a canonical ``path`` on ``host`` (lower case, no port).

        A prefix ``/admin/*`` covers ``/admin``, and ``/admin`` covers ``/admin/``: most apps serve
        both alike, and an operator who protects one means both. Raises `NoRoute` if no route has
        the path, and `MethodNotAllowed` if those that have it do not have the method: a broader
        route may lack their rules.
        """
        if self._has_hosts or path.startswith(self._own_prefix):  # true where there is none
            bucket = self._covering(host, path)
        else:
            bucket = self._any_host.covering(path)
        for route in bucket:
            if route.methods is None or method in route.methods:
                return route
        if not bucket:
            raise NoRoute
        methods = {name for route in bucket for name in route.methods or ()}
        raise MethodNotAllowed("no route of this path has the method", sorted(methods))

    def plain_reader(self) -> PlainReader | None:
        """Return the reader of plain targets in C; None without it, or where hosts decide."""
        if KERNEL is None or self._has_hosts:
            return None
        table = self._any_host
        reader: PlainReader = KERNEL.PathReader(table._exact, table._prefix, Target).read  # noqa: SLF001 (of this module)
        return reader

    def has_own_page(self, path: str) -> bool:
        """Whether ``path`` may be one of the gateway's own pages."""
        return self._has_own_pages and path.startswith(self._own_prefix)

    def _covering(self, host: str, path: str) -> _Bucket:
        """Return the routes of the most specific host and path pattern; empty if there are none."""
        is_near = bool(self._own_prefix) and path.startswith(self._own_prefix)
        if is_near and (own := self._own_pages.covering(path)):
            return own
        if (named := self._hosts.get(host)) and (found := named.covering(path)):
            return found
        if self._wildcards:
            for wildcard in self._wildcards_of(host):
                if found := wildcard.covering(path):
                    return found
        return self._any_host.covering(path)

    def _wildcards_of(self, host: str) -> Iterator["_PathTable"]:
        """Yield the tables of the wildcards that cover ``host``, the longest first."""
        dot = host.find(".")
        while dot >= 0:
            if table := self._wildcards.get(host[dot:]):
                yield table
            dot = host.find(".", dot + 1)


class _PathTable:
    """The routes of one host, by path."""

    __slots__ = ("_exact", "_prefix")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, _Bucket] = {}
        self._prefix: dict[str, _Bucket] = {"": []}
        """With all that leads to a prefix: so the walk down a path ends where nothing is below."""
        for route in routes:
            if route.path.endswith("/*"):
                self._prefix.setdefault(route.path[:-2], []).append(route)
            else:
                self._exact.setdefault(route.path, []).append(route)
        for bucket in (*self._exact.values(), *self._prefix.values()):
            bucket.sort(key=_has_any_method)  # stable: the others keep the file's order
        for prefix in tuple(self._prefix):
            for above in _above(prefix):
                self._prefix.setdefault(above, [])

    def covering(self, path: str) -> _Bucket:
        """Return the routes of the most specific pattern that covers ``path``; empty for none."""
        prefix = path.removesuffix("/")
        exact = self._exact
        if exact and (routes := exact.get(path) or exact.get(prefix or path)):
            return routes
        by_prefix = self._prefix
        found, end = by_prefix[""], 0
        while end >= 0:
            end = prefix.find("/", end + 1)
            below = by_prefix.get(prefix[:end] if end > 0 else prefix)
            if below is None:
                break
            found = below or found
        return found


def _above(prefix: str) -> Iterator[str]:
    """Yield what is above ``prefix``, one segment less each time."""
    while prefix := prefix.rpartition("/")[0]:
        yield prefix


def _has_any_method(route: Route) -> bool:
    return route.methods is None
