"""Lints of limits and caps that have no effect, or not the one that is meant."""

from collections.abc import Iterator
from typing import Final

from gateway.config.compile import DEFAULT, LOGIN
from gateway.config.limit_checks import OF_API_KEYS
from gateway.config.limits import LimitSettings
from gateway.config.lint_limits import limits_of
from gateway.config.lint_rules import Lint, LintFindings, routes
from gateway.config.schema import RouteSettings, Settings
from gateway.core.limit import BY_ADDRESS
from gateway.core.rate import Rate

_OWN: Final = frozenset({DEFAULT, LOGIN, "failures", OF_API_KEYS})
"""Limits that the gateway charges by itself."""
_STRICT: Final = {"open": 0, "local": 1, "closed": 2}
"""What limits let pass while the store does not answer, from all to nothing."""
_NOT_SHARED = 4
"""Below so many connections, none are kept for other clients; see `proxy.upstream.fair_share`."""


def _limits_without_a_route(settings: Settings) -> LintFindings:
    used = {name for _, route in routes(settings) for name in limits_of(settings, route)}
    for name in settings.limits:
        if name not in used | _OWN:
            yield ("limits", name), "no route uses it", "list it in a route, or remove it"


def _limits_that_never_bite(settings: Settings) -> LintFindings:
    for name, entry in settings.limits.items():
        users = [limits for limits in _lists(settings) if name in limits]
        if name in _OWN or not users or entry.mode == "shadow" or entry.overrides:
            continue
        if _is_above_cap(settings, entry):
            yield (
                ("limits", name, "concurrent"),
                "never reached: server.max.connections_per_client is no more than it",
                "use a smaller number",
            )
        for other in sorted(set.intersection(*map(set, users)) - {name}):
            if _bites_first(settings.limits[other], entry):
                yield (
                    ("limits", name),
                    f"never reached: limits.{other} refuses the same callers earlier",
                    "make it smaller, or remove it",
                )
                break


def _lists(settings: Settings) -> Iterator[tuple[str, ...]]:
    """Iterate over the limits of each route."""
    return (limits_of(settings, route) for _, route in routes(settings))


def _is_above_cap(settings: Settings, entry: LimitSettings) -> bool:
    """Whether a client cannot have so many connections, each with one request under way."""
    is_by_address = entry.concurrent is not None and entry.per == BY_ADDRESS
    if not is_by_address or settings.server.trusted_proxies:
        return False
    return (entry.concurrent or 0) >= settings.server.max.connections_per_client


def _bites_first(one: LimitSettings, other: LimitSettings) -> bool:
    """Whether each caller that ``other`` would refuse is refused by ``one`` before."""
    if one.per != other.per or one.mode == "shadow" or one.overrides or one.allow:
        return False
    if one.approximate or _STRICT[one.on_store_failure] < _STRICT[other.on_store_failure]:
        return False
    if one.rate is None or other.rate is None:
        return False
    capacity = other.rate.requests if other.burst is None else other.burst
    return _most(one, one.rate, other.rate.window_s) <= capacity


def _most(entry: LimitSettings, rate: Rate, window_s: int) -> int:
    """Return how many requests ``entry`` may let pass in any window of ``window_s``."""
    if entry.algorithm == "token-bucket":
        at_once = rate.requests if entry.burst is None else entry.burst
        return at_once + -(-rate.requests * window_s // rate.window_s)
    # A window of the one may touch one window more of the other than fit into it.
    return rate.requests * (-(-window_s // rate.window_s) + 1)


def _apps_that_one_client_starves(settings: Settings) -> LintFindings:
    per_client = settings.server.max.connections_per_client
    if per_client >= settings.server.max.connections:
        yield (
            ("server", "max", "connections_per_client"),
            "one client may have all connections of the gateway",
            "make it smaller than server.max.connections",
        )
    for name, entry in settings.upstreams.items():
        for key, most in _unshared(name, entry.max_in_flight, entry.connections):
            open_to = [
                route.name
                for _, route in routes(settings)
                if route.upstream == name and _reaches(settings, route, most)
            ]
            if open_to:
                yield (
                    key,
                    f"one client may take all {most} by {open_to[0]}, and starve the others",
                    "list a limit with a smaller concurrent there",
                )


def _unshared(
    name: str, max_in_flight: int | None, connections: int
) -> Iterator[tuple[tuple[str, str, str], int]]:
    """Iterate over the caps of an app of which no part is kept for other clients."""
    if max_in_flight is not None:
        yield ("upstreams", name, "max_in_flight"), max_in_flight
    if connections < _NOT_SHARED:
        yield ("upstreams", name, "connections"), connections


def _reaches(settings: Settings, route: RouteSettings, most: int) -> bool:
    """Whether one client may have ``most`` requests of ``route`` under way at one time."""
    server = settings.server
    if not server.trusted_proxies and server.max.connections_per_client < most:
        return False
    limits = [settings.limits[name] for name in limits_of(settings, route)]
    return not any(
        limit.concurrent is not None and limit.concurrent < most and limit.mode == "enforce"
        for limit in limits
    )


CAP_LINTS: tuple[tuple[str, Lint], ...] = (
    ("limit-unused", _limits_without_a_route),
    ("limit-never-bites", _limits_that_never_bite),
    ("one-client-starves", _apps_that_one_client_starves),
)
"""Codes and functions, in the order of the report."""
