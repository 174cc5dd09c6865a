"""Lints of hosts that no request comes for; see `gateway.config.lint`."""

from urllib.parse import urlsplit

from gateway.config.lint_rules import Lint, LintFindings, routes
from gateway.config.schema import RouteSettings, Settings
from gateway.core.errors import BadHost
from gateway.core.identity import AuthMethod
from gateway.core.route import Auth
from gateway.routing.target import parse_authority


def _hosts_that_no_client_asks_for(settings: Settings) -> LintFindings:
    for key, route in routes(settings):
        if route.match.host is not None and not can_be_asked_for(route.match.host):
            yield (
                (*key, "match", "host"),
                "no request can name it: such a Host is refused",
                "correct the name",
            )


def can_be_asked_for(host: str) -> bool:
    """Whether a request can name a host that ``host``, that of a route, matches."""
    try:
        return covers_host(host, parse_authority(sample_host(host)).host)
    except BadHost:
        return False


def sample_host(host: str) -> str:
    """Return a host that ``host``, that of a route, matches."""
    return f"a{host[1:]}" if host.startswith("*.") else host


def _sessions_that_never_come(settings: Settings) -> LintFindings:
    public = parse_authority(urlsplit(settings.server.public_url).netloc).host
    for key, route in routes(settings):
        host = route.match.host
        if host is not None and _needs_session(route) and not covers_host(host, public):
            yield (
                (*key, "accept"),
                f"browsers send the session cookie to {public} alone",
                "accept another kind of credential too, or use that host",
            )


def _needs_session(route: RouteSettings) -> bool:
    return route.auth is Auth.REQUIRED and set(route.accept) == {AuthMethod.SESSION}


def covers_host(pattern: str | None, host: str) -> bool:
    """Whether ``pattern``, the host of a route, matches ``host``."""
    if pattern is None:
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return pattern == host


REACH_LINTS: tuple[tuple[str, Lint], ...] = (
    ("host-never-comes", _hosts_that_no_client_asks_for),
    ("session-never-comes", _sessions_that_never_come),
)
"""Codes and functions, in the order of the report."""
