"""Lints of who limits count; see `gateway.config.lint`."""

from collections.abc import Iterator
from typing import Final

from gateway.config.lint_rules import Lint, LintFindings, routes
from gateway.config.problems import KeyPath
from gateway.config.schema import RouteSettings, Settings
from gateway.core.identity import AuthMethod
from gateway.core.limit import BY_HEADER, PROVEN_PARTS
from gateway.core.route import Auth

_KINDS: Final = {"session": AuthMethod.SESSION, "api-key": AuthMethod.API_KEY}
"""Parts of ``per`` that only one kind of credential has."""


def limits_of(settings: Settings, route: RouteSettings) -> tuple[str, ...]:
    """Return the names of the limits of ``route``."""
    if route.limits is not None:
        return route.limits
    return ("default",) if "default" in settings.limits else ()


def counts_before_authentication(settings: Settings, route: RouteSettings) -> bool:
    """Return whether a limit of ``route`` is charged before credentials are looked at."""
    limits = [settings.limits[name] for name in limits_of(settings, route)]
    return any(entry.concurrent is None and PROVEN_PARTS.isdisjoint(entry.per) for entry in limits)


def _limits(settings: Settings) -> Iterator[tuple[KeyPath, RouteSettings, str, tuple[str, ...]]]:
    """Iterate over the limits of each route, with their names and what they count by."""
    for key, route in routes(settings):
        for place, name in enumerate(limits_of(settings, route)):
            at = (*key, "limits", place) if route.limits is not None else key
            yield at, route, name, settings.limits[name].per


def _callers_that_are_never_known(settings: Settings) -> LintFindings:
    for at, route, name, per in _limits(settings):
        for reason in _why_never(settings, route, per):
            yield (
                at,
                f"the limit {name} never knows its caller: {reason}",
                "list another limit, or change per",
            )


def _why_never(settings: Settings, route: RouteSettings, per: tuple[str, ...]) -> Iterator[str]:
    proven = PROVEN_PARTS.intersection(per)
    if route.auth is Auth.NONE and proven:
        yield "auth: none authenticates none, so all are counted by address"
        return
    for part, kind in _KINDS.items():
        if part in proven and kind not in route.accept:
            yield f"the route does not accept {kind}, so all are counted by issuer"
    identity = settings.identity
    if "role" in proven and not (identity.roles or identity.roles_from_store):
        yield "no caller has a role, so all share one counter"


def _callers_that_clients_choose(settings: Settings) -> LintFindings:
    for key, route in routes(settings):
        limits = {name: settings.limits[name].per for name in limits_of(settings, route)}
        free = [name for name, per in limits.items() if _is_free(per)]
        if free and len(free) == len(limits):
            yield (
                (*key, "limits") if route.limits is not None else key,
                f"the limit {free[0]} counts by a header: a client that changes it is not limited",
                "add a limit that counts by ip or issuer",
            )


def _is_free(per: tuple[str, ...]) -> bool:
    return any(part.startswith(BY_HEADER) for part in per)


LIMIT_LINTS: tuple[tuple[str, Lint], ...] = (
    ("limit-never-known", _callers_that_are_never_known),
    ("limit-by-free-header", _callers_that_clients_choose),
)
"""Codes and functions, in the order of the report."""
