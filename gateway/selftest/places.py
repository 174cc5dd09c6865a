"""
What the config protects, in the terms of apps: paths as their servers see them.

The oracle of the selftest. It does not ask the gateway which route took a request: it reads what
arrived as an app may read it, and says which route's place that is.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from gateway.config.schema import RouteSettings, Settings
from gateway.core.route import Auth
from gateway.routing.target import parse_authority
from gateway.selftest.readings import Reading, readings
from gateway.selftest.recorder import ArrivedRequest

CHECKED: Final = ""
"""In place of an upstream: another proxy forwards, and asks before (forward-auth)."""
_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class AppPlace(NamedTuple):
    """One route, as its app sees it."""

    route: RouteSettings
    servers: frozenset[str]
    path: str
    """Exact, or a prefix that ends in ``/*``."""

    def covers(self, path: str) -> bool:
        """Whether ``path`` is of this place."""
        start = self.path.removesuffix("/*")
        if self.path.endswith("/*"):
            return path == start or path.startswith(f"{start}/")
        return path in (start, f"{start}/")

    def covers_in_any_case(self, path: str) -> bool:
        """Whether ``path`` is of this place to an app that does not mind upper and lower case."""
        return self._replace(path=self.path.lower()).covers(path)

    @property
    def rank(self) -> tuple[bool, int]:
        """The more specific, the higher."""
        return not self.path.endswith("/*"), len(self.path)

    def has_method(self, method: str) -> bool:
        """Whether the route takes ``method``."""
        named = self.route.match.named_methods
        return named is None or method in named or (method == "HEAD" and "GET" in named)

    def has_host(self, host: str) -> bool:
        """Whether the route is one of ``host``."""
        named = self.route.match.host
        if named is None:
            return True
        return host.endswith(named[1:]) if named.startswith("*.") else host == named


class Breach(NamedTuple):
    """A protected place that a request has reached."""

    way: str
    place: AppPlace
    path: str
    """As the app may read it."""


class Places:
    """All places of a config, and which of them are closed to a caller."""

    def __init__(self, settings: Settings) -> None:
        servers = {
            name: frozenset(map(str, entry.servers)) for name, entry in settings.upstreams.items()
        }
        servers[CHECKED] = frozenset({CHECKED})
        self.all = tuple(
            AppPlace(route, servers[route.upstream or CHECKED], route.upstream_path)
            for route in settings.routes
        )
        self._servers = servers

    @property
    def protected(self) -> list[AppPlace]:
        """Those that need a credential."""
        return [place for place in self.all if place.route.auth is Auth.REQUIRED]

    def breach(self, arrived: ArrivedRequest, closed: Collection[RouteSettings]) -> Breach | None:
        """Return the place that ``arrived`` reaches of those ``closed`` to its caller, if any."""
        host = parse_authority(arrived.values("Host")[0]).host
        takers = self._takers(arrived, host, closed)
        for reading in readings(arrived.method, arrived.target):
            found = self._reached(arrived.upstream, host, reading, takers, closed)
            if found is not None:
                way = reading.way or _way(found, takers, arrived, host)
                return Breach(way, found, reading.path)
        return None

    def _takers(
        self, arrived: ArrivedRequest, host: str, closed: Collection[RouteSettings]
    ) -> list[AppPlace]:
        """Return the routes that may have let ``arrived`` through."""
        plain = next(readings(arrived.method, arrived.target))
        return [
            place
            for place in self.all
            if (place.route.upstream or CHECKED) == arrived.upstream
            and place.covers(plain.path)
            and place.has_method(arrived.method)
            and place.has_host(host)
            and place.route not in closed
        ]

    def _reached(
        self,
        upstream: str,
        host: str,
        reading: Reading,
        takers: list[AppPlace],
        closed: Collection[RouteSettings],
    ) -> AppPlace | None:
        """Return the closed place that is the most specific one for ``reading``, if it is one."""
        servers, covers = self._servers[upstream], AppPlace.covers
        if reading.way == "case":
            covers = AppPlace.covers_in_any_case
        is_any_host = any(_has_any_host(taker.route) for taker in takers)
        is_any_method = any(taker.route.match.named_methods is None for taker in takers)
        found = [
            place
            for place in self.all
            if place.servers & servers
            and covers(place, reading.path)
            and (
                place.has_method(reading.method)
                or (place.route in closed and is_any_method and _means(place, reading.method))
            )
            and (is_any_host or place.has_host(host))
        ]
        highest = max((place.rank for place in found), default=None)
        nearest = [place for place in found if place.rank == highest]
        if reading.way not in ("", "case") and any(place in takers for place in nearest):
            return None  # read in another way, it is still of the route that let it through
        return next((place for place in nearest if place.route in closed), None)


def _way(found: AppPlace, takers: list[AppPlace], arrived: ArrivedRequest, host: str) -> str:
    """Return why a path that is read as it stands reaches ``found``; empty: it should not."""
    if not takers:
        return ""
    if (found.route.upstream or CHECKED) != arrived.upstream:
        return "other-upstream"
    if any(taker.route.rewrite is not None for taker in takers):
        return "rewrite"
    if not found.has_host(host):
        return "other-host"
    if any(taker.route.strip_prefix is not None for taker in (*takers, found)):
        return "strip-prefix"
    return "other-route" if found.has_method(arrived.method) else "other-method"


def _has_any_host(route: RouteSettings) -> bool:
    """Whether clients choose the host by which ``route`` is reached."""
    return route.match.host is None or route.match.host.startswith("*.")


def _means(place: AppPlace, method: str) -> bool:
    """
    Whether ``place`` may be there for ``method`` too, which its route does not list.

    A route that protects one method that changes something may mean the others. So does an app that
    takes an unknown method for another one.
    """
    named = place.route.match.named_methods or frozenset()
    is_unsafe = method in _UNSAFE or method not in _KNOWN
    return is_unsafe and bool(named & _UNSAFE)


_KNOWN: Final = _UNSAFE | {"GET", "HEAD", "OPTIONS"}
