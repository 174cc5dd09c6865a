"""Lints of networks, plain text to apps, and time-outs; see `gateway.config.lint`."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from gateway.config.addresses import ServerAddress, is_loopback
from gateway.config.lint_rules import Lint, LintFindings, routes
from gateway.config.problems import KeyPath
from gateway.config.schema import Settings
from gateway.core.address import IPNetwork
from gateway.core.route import Auth

_WIDE_V4, _WIDE_V6 = 8, 18
"""Prefixes of networks that hold many operators' hosts, however large one of them is."""
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0

_LONGEST_S = {
    "head": _MINUTE_S,
    "body_idle": 10 * _MINUTE_S,
    "keep_alive": _HOUR_S,
    "half_closed": _HOUR_S,
    "connect": _MINUTE_S,
    "response": _HOUR_S,
    "idle": _DAY_S,
    "timeout": _MINUTE_S,
}
"""Lengths above which a time-out protects from nothing, by its key."""


def _trust_of_the_internet(settings: Settings) -> LintFindings:
    trusted = settings.server.trusted_proxies
    for place, network in enumerate(trusted):
        if _is_wide(network, trusted):
            yield (
                ("server", "trusted_proxies", place),
                "so many hosts of the internet may name any client's address",
                "list the addresses of your own proxies alone",
            )


def _is_wide(network: IPNetwork, trusted: tuple[IPNetwork, ...]) -> bool:
    """Whether ``network``, together with those beside it, is wider than what an operator owns."""
    if network.is_private or network.is_link_local:
        return False
    if isinstance(network, IPv4Network):
        v4 = collapse_addresses(each for each in trusted if isinstance(each, IPv4Network))
        return any(network.subnet_of(whole) and whole.prefixlen <= _WIDE_V4 for whole in v4)
    v6 = collapse_addresses(each for each in trusted if isinstance(each, IPv6Network))
    return any(network.subnet_of(whole) and whole.prefixlen <= _WIDE_V6 for whole in v6)


def _identity_in_the_clear(settings: Settings) -> LintFindings:
    told = {route.upstream for _, route in routes(settings) if route.auth is not Auth.NONE}
    for name, entry in settings.upstreams.items():
        for place, server in enumerate(entry.servers):
            if name in told and server.scheme == "http" and not _is_near(server):
                yield (
                    ("upstreams", name, "servers", place),
                    "a network attacker can read who is asking, and write any identity",
                    "use https:// or a unix socket",
                )


def _is_near(server: ServerAddress) -> bool:
    """Whether ``server`` is on this machine, or has the name of a container beside the gateway."""
    name = server.host
    return is_loopback(name) or not ("." in name or ":" in name)


def _endless_timeouts(settings: Settings) -> LintFindings:
    for path, length_s in _timeouts(settings):
        longest_s = _LONGEST_S[str(path[-1])]
        if length_s > longest_s:
            yield path, "so long that it is none", f"use at most {longest_s:g}s"


def _timeouts(settings: Settings) -> Iterator[tuple[KeyPath, float]]:
    """Iterate over all time-outs that hold something of a client, an app or a request."""
    server = settings.server.timeouts
    for key in ("head", "body_idle", "keep_alive", "half_closed"):
        yield ("server", "timeouts", key), getattr(server, f"{key}_s")
    yield ("redis", "timeout"), settings.redis.reply_timeout_s
    yield ("magic", "timeout"), settings.magic.timeout_s
    for name, entry in settings.upstreams.items():
        yield from _of_app(("upstreams", name), entry.timeouts)
    for at, route in routes(settings):
        yield from _of_app(at, route.timeouts)


def _of_app(at: KeyPath, timeouts: object) -> Iterator[tuple[KeyPath, float]]:
    for key in ("connect", "response", "idle"):
        yield (*at, "timeouts", key), getattr(timeouts, f"{key}_s") or 0.0


NETWORK_LINTS: tuple[tuple[str, Lint], ...] = (
    ("trusts-the-internet", _trust_of_the_internet),
    ("identity-in-the-clear", _identity_in_the_clear),
    ("timeout-as-none", _endless_timeouts),
)
"""Codes and functions, in the order of the report."""
