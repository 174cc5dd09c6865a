"""Checks of what limits count, and of what requests cost; see `gateway.config.checks`."""

from collections.abc import Iterator
from typing import Final

from gateway.config.check import Check, routes_of
from gateway.config.draft import Draft
from gateway.config.problems import KeyPath, Problem
from gateway.config.units import count
from gateway.core.rate import read_rate

_OWN: Final = {
    "login": ({"ip", "email"}, "ip, email or both"),
    "failures": ({"ip"}, "ip: it is charged before the caller is known"),
}
"""Limits that the gateway charges by itself, and what it counts them by: attempts."""
OF_API_KEYS: Final = "api-key"
"""The name under which API keys are counted that have a rate of their own."""


def own_limits_count_what_is_known(draft: Draft) -> Iterator[Problem]:
    """Refuse other keys for limits that are charged to no request of a route."""
    for name, (known, expected) in _OWN.items():
        at = ("limits", name, "per")
        if not set(_parts(draft, name)) <= known:
            yield Problem(at, f"the limit named {name} counts by {expected}")
    for name in draft.mapping("limits"):
        at = ("limits", name, "ip_rate")
        is_both = name == "login" and {"ip", "email"} <= set(_parts(draft, name))
        if draft.at(*at) is not None and not is_both:
            yield Problem(at, "needs the name login, and per: [ip, email]")


def routes_count_no_attempts(draft: Draft) -> Iterator[Problem]:
    """Refuse a login limit by email on a route: it counts what sign-in attempts name."""
    if "email" not in _parts(draft, "login"):
        return
    for at in routes_of(draft):
        for place, name in enumerate(draft.items(*at, "limits")):
            if name == "login":
                yield Problem(
                    (*at, "limits", place),
                    "counts by email, as sign-in attempts name it",
                    remedy="list another limit, or set per: ip there",
                )


def costs_fit_into_limits(draft: Draft) -> Iterator[Problem]:
    """Refuse a cost above what a limit of the route allows at once: no request would pass."""
    for at in routes_of(draft):
        cost = _number(draft, (*at, "cost"))
        for name in _limits(draft, at):
            most = _capacity(draft, name)
            if cost is not None and most is not None and cost > most:
                message = f"above what the limit {name} allows at once: no request would pass"
                yield Problem((*at, "cost"), message)


def limits_count_one_thing(draft: Draft) -> Iterator[Problem]:
    """Require a rate, or the number of requests under way, and the keys that go with it."""
    for name in draft.mapping("limits"):
        at, given = ("limits", name), draft.mapping("limits", name).keys()
        if not isinstance(draft.at(*at), dict | None):
            continue
        is_concurrency = draft.text(*at, "algorithm") == "concurrency"
        if "concurrent" not in given:
            if is_concurrency:
                yield Problem((*at, "concurrent"), "required with algorithm: concurrency")
            elif "rate" not in given:
                yield Problem((*at, "rate"), "required", remedy="set it, or concurrent")
            if "lease" in given:
                yield Problem((*at, "lease"), "needs concurrent", remedy="remove it")
            continue
        if name in _OWN:
            yield Problem((*at, "concurrent"), "this limit counts attempts", remedy="set a rate")
        if "algorithm" in given and not is_concurrency:
            yield Problem((*at, "algorithm"), "concurrent needs algorithm: concurrency")
        for key in sorted({"rate", "approximate", "ip_rate", "overrides"} & given):
            yield Problem((*at, key), "cannot be combined with concurrent", remedy="remove one")


def exact_limits_are_not_approximate(draft: Draft) -> Iterator[Problem]:
    """Refuse ``approximate`` where requests must wait for Redis: it would not be heeded."""
    for name in draft.mapping("limits"):
        at = ("limits", name)
        is_approximate = draft.at(*at, "approximate") in (True, "true")
        if is_approximate and draft.text(*at, "on_store_failure") == "closed":
            yield Problem((*at, "approximate"), "cannot be combined with on_store_failure: closed")


def api_keys_are_counted_once(draft: Draft) -> Iterator[Problem]:
    """Refuse the name of the rates of API keys for a limit that counts by key, too."""
    if _parts(draft, OF_API_KEYS) == (OF_API_KEYS,):
        message = "keys with a rate of their own are counted under this name: each request twice"
        yield Problem(("limits", OF_API_KEYS), message)


def concurrency_needs_an_upstream(draft: Draft) -> Iterator[Problem]:
    """Refuse limits on requests under way where another proxy forwards: it knows their end."""
    for at in routes_of(draft):
        if draft.at(*at, "upstream") is not None:
            continue
        for place, _ in enumerate(draft.items(*at, "limits")):
            listed = (*at, "limits", place)
            if draft.at("limits", draft.text(*listed), "concurrent") is not None:
                yield Problem(listed, "concurrent needs a route with an upstream")


def _parts(draft: Draft, name: str) -> tuple[str, ...]:
    at = ("limits", name, "per")
    written = draft.at(*at)  # not `text`: the schema refuses a number here
    if isinstance(written, str) and written:
        return (written,)
    return tuple(map(str, draft.items(*at)))


def _limits(draft: Draft, at: KeyPath) -> list[str]:
    """Return the names of the limits of the route ``at``."""
    if draft.at(*at, "limits") is None:
        return ["default"]
    return [str(name) for name in draft.items(*at, "limits")]


def _capacity(draft: Draft, name: str) -> int | None:
    """Return how many requests the limit allows at once; None where that cannot be read."""
    burst = _number(draft, ("limits", name, "burst"))
    if burst is not None:
        return burst
    found = draft.parsed(read_rate, "limits", name, "rate")
    return found and found.requests


def _number(draft: Draft, at: KeyPath) -> int | None:
    value = draft.at(*at)
    if isinstance(value, int):
        return value
    return draft.parsed(count, *at)


LIMIT_CHECKS: Final = (
    Check("own-limit-per", own_limits_count_what_is_known, "set it so, or remove it"),
    Check("limit-by-email", routes_count_no_attempts, "list another limit"),
    Check("cost-over-limit", costs_fit_into_limits, "lower it, or raise the rate or the burst"),
    Check("limit-without-rate", limits_count_one_thing, "set it"),
    Check("exact-approximate", exact_limits_are_not_approximate, "remove one of them"),
    Check("limit-of-api-keys", api_keys_are_counted_once, "give it another name"),
    Check("concurrency-of-checks", concurrency_needs_an_upstream, "remove it"),
)
