"""
Finds which routes hide others: they take requests that the others match too.

A route hides those of broader hosts whose paths overlap with its own, and on its own host those of
broader paths. Of the same host and path, named methods go before any; see `gateway.routing.table`.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.config.compile import with_head
from gateway.config.schema import RouteSettings
from gateway.core.route import Auth


class _Place(NamedTuple):
    """A route in the index of its host, by the start of its paths."""

    start: str
    """The path without ``/*``, and without a slash at its end."""
    number: int
    """Its place in the file."""


class HiddenRoutes:
    """The routes of a config, indexed by host and path."""

    def __init__(self, routes: Sequence[RouteSettings]) -> None:
        self._routes = routes
        self._by_host: dict[str | None, list[_Place]] = {}
        for number, route in enumerate(routes):
            places = self._by_host.setdefault(route.match.host, [])
            places.append(_Place(_start(route), number))
        for places in self._by_host.values():
            places.sort()

    def hidden_by(self, number: int) -> list[RouteSettings]:
        """Routes of which the route at ``number`` takes some requests, in the order of the file."""
        match = self._routes[number].match
        found = [
            other for other in self._above(number, match.host) if self._is_first(number, other)
        ]
        for host in self._broader_hosts(match.host):
            found += self._above(number, host)
            found += self._below(number, host)
        return [self._routes[other] for other in sorted(set(found) - {number})]

    def covering(self, number: int) -> list[RouteSettings]:
        """
        Routes of the same or a broader host whose paths cover those of the route at ``number``, and
        are more than those; the nearest ones first.
        """
        match, found = self._routes[number].match, list[int]()
        for host in (match.host, *self._broader_hosts(match.host)):
            found += self._above(number, host)
        wider = [self._routes[other] for other in dict.fromkeys(found)]
        return [
            other
            for other in wider
            if (other.match.host, other.match.path) != (match.host, match.path)
        ]

    def losing_rules(self, number: int) -> list[RouteSettings]:
        """
        Routes of the same app whose paths the route at ``number`` takes on its host, with less
        rules than they have.
        """
        route, found = self._routes[number], list[int]()
        for host in self._broader_hosts(route.match.host):
            found += self._below(number, host)
            found += self._same_path(number, host)
        return [
            self._routes[other]
            for other in sorted(set(found))
            if is_weaker(route, self._routes[other]) and not self._is_repeated(other, number)
        ]

    def _is_repeated(self, other: int, number: int) -> bool:
        """Whether a closer route on the host of the route at ``number`` takes all of another."""
        mine, path = self._routes[number].match, self._routes[other].match.path
        for closer in self._above(other, mine.host):
            match = self._routes[closer].match
            covers = match.path == path or match.path.endswith("/*")
            if covers and match.path != mine.path and _rank(match.path) < _rank(mine.path):
                return True
        return False

    def takes_nothing(self, number: int) -> bool:
        """Whether earlier routes of the same host and path have all methods of the route."""
        match = self._routes[number].match
        if match.named_methods is None:
            return False
        earlier: set[str] = set()
        for other in self._same_path(number, match.host):
            if other < number:
                earlier |= with_head(self._routes[other].match.named_methods or frozenset())
        return with_head(match.named_methods) <= earlier

    def _is_first(self, number: int, other: int) -> bool:
        """Whether a route goes before another of its host that covers its path."""
        mine, its = self._routes[number].match, self._routes[other].match
        if mine.path != its.path:
            return _rank(mine.path) < _rank(its.path)
        if mine.named_methods is None:
            return False
        if its.named_methods is None:
            return True
        return number < other and bool(with_head(mine.named_methods) & with_head(its.named_methods))

    def _above(self, number: int, host: str | None) -> Iterator[int]:
        """Routes of ``host`` that cover the start of the route at ``number``."""
        start = mine = _start(self._routes[number])
        while True:
            for other in self._at(start, host):
                if start == mine or self._routes[other].match.path.endswith("/*"):
                    yield other
            if not start:
                return
            start = start[: start.rindex("/")]

    def _below(self, number: int, host: str | None) -> Iterator[int]:
        """Routes of ``host`` whose paths are below the prefix of the route at ``number``."""
        if self._routes[number].match.path.endswith("/*"):
            start, places = _start(self._routes[number]), self._by_host.get(host, [])
            # "0" is the character after "/".
            first, end = (bisect_left(places, _Place(start + mark, -1)) for mark in "/0")
            yield from (place.number for place in places[first:end])

    def _same_path(self, number: int, host: str | None) -> list[int]:
        path = self._routes[number].match.path
        at = self._at(_start(self._routes[number]), host)
        return [other for other in at if self._routes[other].match.path == path]

    def _at(self, start: str, host: str | None) -> Iterator[int]:
        places = self._by_host.get(host, [])
        place = bisect_left(places, _Place(start, -1))
        while place < len(places) and places[place].start == start:
            yield places[place].number
            place += 1

    def _broader_hosts(self, host: str | None) -> Iterator[str | None]:
        """Hosts of routes that cover ``host``, without itself."""
        if host is None:
            return
        dot = host.find(".", 1 + host.startswith("*."))
        while dot >= 0:
            yield f"*{host[dot:]}"
            dot = host.find(".", dot + 1)
        yield None


def _start(route: RouteSettings) -> str:
    return route.match.path.removesuffix("/*").removesuffix("/")


def _rank(path: str) -> tuple[bool, int]:
    """Order of paths that cover the same one, as `gateway.routing.table` tries them."""
    return path.endswith("/*"), -len(path)


def is_weaker(route: RouteSettings, other: RouteSettings) -> bool:
    """Whether ``route`` lets requests of the same app pass that ``other`` may refuse."""
    if route.upstream != other.upstream or other.auth is Auth.NONE:
        return False
    strictness = (Auth.NONE, Auth.OPTIONAL, Auth.REQUIRED)
    if strictness.index(route.auth) < strictness.index(other.auth):
        return True
    return bool((other.allow and not route.allow) or (other.deny and not route.deny))
