"""Checks and lints of webhooks; see `gateway.config.checks` and `gateway.config.lint`."""

from collections.abc import Iterator
from ipaddress import ip_address

from gateway.config.check import Check, repeated
from gateway.config.draft import Draft
from gateway.config.hooks import FIRST_LOGIN, hook_url, host_of
from gateway.config.lint_rules import Lint, LintFindings
from gateway.config.problems import KeyPath, Problem
from gateway.config.schema import Settings
from gateway.config.store_env import REST_SCHEME
from gateway.hooks.destination import Destinations, is_public

_SHORT: KeyPath = ("hooks", "first_login")
_PRIVATE_ENDS = (".internal", ".local", ".localhost", ".lan", ".home.arpa", ".test")
"""Ends of names that no public DNS serves (RFC 6761, 6762, 8375, and ICANN's .internal)."""


def endpoints_have_secrets(draft: Draft) -> Iterator[Problem]:
    """Require one of ``secret`` and ``secrets``: receivers accept what is signed alone."""
    for at in _targets(draft):
        given = [key for key in ("secret", "secrets") if draft.at(*at, key) is not None]
        if len(given) != 1:
            yield Problem((*at, "secret"), "expected either secret or secrets")


def endpoint_names_differ(draft: Draft) -> Iterator[Problem]:
    """Require unique names of endpoints and functions: deliveries wait under them."""
    named: list[tuple[KeyPath, object]] = []
    if draft.at(*_SHORT) is not None:
        named.append((_SHORT, FIRST_LOGIN))
    named += [((*at, "name"), draft.text(*at, "name")) for at in _listed(draft)]
    functions: list[KeyPath] = [
        ("hooks", "functions", place) for place, _ in enumerate(draft.items("hooks", "functions"))
    ]
    named += [((*at, "name"), draft.text(*at, "name")) for at in functions]
    yield from repeated(named, "same name as")


def endpoints_are_private_over_http(draft: Draft) -> Iterator[Problem]:
    """Refuse plain http to public hosts: events are about people."""
    for at in _targets(draft):
        url = draft.parsed(hook_url, *at, "url")
        if url and url.lower().startswith("http:") and not _is_private(host_of(url)):
            yield Problem((*at, "url"), "over http, events can be read in transit")


def confirming_stores_have_replicas(draft: Draft) -> Iterator[Problem]:
    """Refuse ``hooks.confirm`` where the store has no WAIT, or never a replica."""
    at, url = ("hooks", "confirm"), draft.text("redis", "url")
    if draft.at(*at) is None:
        return
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    if url.startswith(REST_SCHEME) or host.lower().endswith(".upstash.io"):
        yield Problem(at, "Upstash has no WAIT: no replica can be asked to confirm")
    elif url.startswith("embedded:"):
        yield Problem(at, "an embedded store has no replica that could confirm")


def _is_private(name: str) -> bool:
    try:
        return not is_public(ip_address(name))
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE_ENDS)


def _listed(draft: Draft) -> Iterator[KeyPath]:
    for place, _ in enumerate(draft.items("hooks", "endpoints")):
        yield ("hooks", "endpoints", place)


def _targets(draft: Draft) -> Iterator[KeyPath]:
    if draft.mapping(*_SHORT):
        yield _SHORT
    yield from _listed(draft)


def _refused_destinations(settings: Settings) -> LintFindings:
    hooks = settings.hooks
    destinations = Destinations(hooks.allow_private)
    first: list[KeyPath] = [_SHORT] if hooks.first_login is not None else []
    places = first + [("hooks", "endpoints", place) for place, _ in enumerate(hooks.endpoints)]
    for at, endpoint in zip(places, hooks.all_endpoints, strict=True):
        name = host_of(endpoint.url)
        address = "127.0.0.1" if name == "localhost" else name
        if _is_address(address) and not destinations.is_allowed(address):
            yield (
                (*at, "url"),
                "a private address: no delivery goes there",
                "list its network in hooks.allow_private",
            )


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


HOOK_CHECKS: tuple[Check, ...] = (
    Check("hook-secrets", endpoints_have_secrets, "write one of the two"),
    Check("hook-names-alike", endpoint_names_differ, "choose another name"),
    Check(
        "confirm-without-replicas",
        confirming_stores_have_replicas,
        "remove it, or name a Redis or Valkey with replicas in redis.url",
    ),
    Check("hook-over-http", endpoints_are_private_over_http, "use https"),
)

HOOK_LINTS: tuple[tuple[str, Lint], ...] = (("hook-to-private-address", _refused_destinations),)
