"""
Lints of paths that another route serves with fewer rules; see `gateway.config.lint`.

What they say is tried: the route table itself leads each URL of a message to the route it names.
"""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.config import compile as compiled
from gateway.config.addresses import url_on
from gateway.config.hidden_routes import HiddenRoutes, is_weaker
from gateway.config.lint_reach import covers_host, sample_host
from gateway.config.lint_rules import Lint, LintFindings, routes
from gateway.config.schema import RouteSettings, Settings
from gateway.core.errors import MethodNotAllowed, NoRoute
from gateway.core.route import Auth, Route
from gateway.routing.table import RouteTable
from gateway.routing.target import parse_authority

_OTHER_HOSTS = ("other.example.org", "other.example.net")
"""Names that are no one's (RFC 2606); a config may name one of them."""


class _Leak(NamedTuple):
    """A request that a wider route takes, and the protected route that it is like."""

    wide: RouteSettings
    protected: RouteSettings
    request: str
    """Method and URL."""


class _Paths:
    """The routes of a config, to try requests on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.hidden = HiddenRoutes(settings.routes)
        self._origin = settings.server.public_url
        self._public_host = parse_authority(urlsplit(self._origin).netloc).host
        self._table = RouteTable(compiled.routes(settings))

    def weaker(self) -> Iterator[tuple[int, RouteSettings]]:
        """Iterate over protected routes, by number, and the routes around them with fewer rules."""
        for number, route in enumerate(self.settings.routes):
            if route.auth is Auth.NONE or route.upstream is None:
                continue
            for wide in self.hidden.covering(number):
                if is_weaker(wide, route):
                    yield number, wide

    def beside(self, wide: RouteSettings, route: RouteSettings) -> str | None:
        """Return a request that ``wide`` takes on another host, or below the path of ``route``."""
        path, host = route.match.path, sample_host(route.match.host or self._host_of(wide))
        for other in self._other_hosts(wide, route):
            if found := self._request(wide, other, path.removesuffix("/*") or "/"):
                return found
        if path.endswith("/*"):
            return None
        return self._request(wide, host, f"{path.removesuffix('/')}/x")

    def _other_hosts(self, wide: RouteSettings, route: RouteSettings) -> Iterator[str]:
        """Yield hosts of ``wide`` that are none of ``route``, whose host is its own or narrower."""
        if wide.match.host == route.match.host:
            return
        wildcard = wide.match.host
        others = _OTHER_HOSTS if wildcard is None else (f"other{wildcard[1:]}",)
        for host in (self._host_of(wide), *others):
            if not covers_host(route.match.host, host):
                yield host

    def in_another_case(self, wide: RouteSettings, route: RouteSettings) -> str | None:
        """Return a request that ``wide`` takes, for a path of ``route`` in another case."""
        start, path = wide.match.path.removesuffix("/*"), route.match.path.removesuffix("/*")
        host, rest = sample_host(route.match.host or self._host_of(wide)), path[len(start) :]
        other = rest.upper() if rest != rest.upper() else rest.lower()
        return None if other == rest else self._request(wide, host, start + other)

    def hidden_at_home(self, route: RouteSettings) -> tuple[str, str] | None:
        """Return a request for ``route`` on the public host, and the route that takes all such."""
        host, path = self._public_host, route.match.path.removesuffix("/*")
        if route.match.host == host or not path or not covers_host(route.match.host, host):
            return None
        for method in sorted(route.match.named_methods or ("GET",)):
            try:
                taker = self.match(host, path, method)
            except (NoRoute, MethodNotAllowed):
                continue
            start = taker.path.removesuffix("/*")
            if taker.host != route.match.host and taker.host and len(start) < len(path):
                return f"{method} {url_on(self._origin, host, path)}", taker.name
        return None

    def _host_of(self, route: RouteSettings) -> str:
        return sample_host(route.match.host or self._public_host)

    def _request(self, wide: RouteSettings, host: str, path: str) -> str | None:
        """Return the request, if the table leads it to ``wide``."""
        for method in sorted(wide.match.named_methods or ("GET",)):
            if self._leads_to(wide, host, path, method):
                return f"{method} {url_on(self._origin, host, path)}"
        return None

    def _leads_to(self, wide: RouteSettings, host: str, path: str, method: str) -> bool:
        try:
            return self.match(host, path, method).name == wide.name
        except (NoRoute, MethodNotAllowed):
            return False

    def match(self, host: str, path: str, method: str) -> Route:
        """Return the route of a request. Raises `NoRoute` or `MethodNotAllowed`."""
        return self._table.match(host, path, method)

    def proof_of_hiding(self, route: RouteSettings) -> tuple[str, str]:
        """Return a request that matches ``route``, and the name of the route that takes it."""
        host, path = self._host_of(route), route.match.path.removesuffix("/*") or "/"
        method = min(route.match.named_methods or ("GET",))
        taker = self.match(host, path, method).name
        return f"{method} {url_on(self._origin, host, path)}", taker


def _public_patterns_around_protected_ones(settings: Settings) -> LintFindings:
    paths, keys = _Paths(settings), {route.name: key for key, route in routes(settings)}
    found: dict[str, _Leak] = {}
    for number, wide in paths.weaker():
        route = settings.routes[number]
        if wide.auth is not Auth.NONE or wide.name in found:
            continue
        if request := paths.beside(wide, route) or paths.in_another_case(wide, route):
            found[wide.name] = _Leak(wide, route, request)
    for leak in found.values():
        message = f"public, and around {leak.protected.name}: {leak.request} needs no credential"
        yield keys[leak.wide.name], message, "protect it, and list the public paths below it"


def _paths_in_another_case(settings: Settings) -> LintFindings:
    paths, told = _Paths(settings), set[int]()
    for number, wide in paths.weaker():
        route = settings.routes[number]
        request = None if number in told else paths.in_another_case(wide, route)
        if request is not None:
            told.add(number)
            yield (
                ("routes", number, "match", "path"),
                f"an app that ignores case takes {request} for it, which {wide.name} lets pass",
                "let the app compare paths by case, or give both routes the same rules",
            )


def _routes_that_never_match(settings: Settings) -> LintFindings:
    hidden, paths = HiddenRoutes(settings.routes), list[_Paths]()
    for number, (key, route) in enumerate(routes(settings)):
        if hidden.takes_nothing(number):
            paths = paths or [_Paths(settings)]
            request, taker = paths[0].proof_of_hiding(route)
            why = f"earlier routes of its host and path have all its methods: {taker} has {request}"
            yield key, f"never matches: {why}", "remove it, or change its methods"


def _routes_hidden_on_the_public_host(settings: Settings) -> LintFindings:
    """Find routes whose paths a route with a host takes by a shorter prefix, on the public host."""
    paths = _Paths(settings)
    for key, route in routes(settings):
        found = paths.hidden_at_home(route)
        if found is not None:
            request, taker = found
            message = f"hidden where browsers come: {taker}, which has a host, takes {request}"
            yield key, message, f"repeat it with the host of {taker}"


PATH_LINTS: tuple[tuple[str, Lint], ...] = (
    ("public-covers-protected", _public_patterns_around_protected_ones),
    ("path-in-another-case", _paths_in_another_case),
    ("route-never-matches", _routes_that_never_match),
    ("route-hidden", _routes_hidden_on_the_public_host),
)
"""Codes and functions, in the order of the report."""
