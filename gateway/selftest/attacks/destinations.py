"""Destinations: whether a route leads to what clients must not reach at all."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from gateway.config.addresses import HostPort, ServerAddress, is_loopback
from gateway.config.listen import UnixPath
from gateway.config.schema import RouteSettings, Settings
from gateway.core.route import Auth
from gateway.selftest.callers import MEMBER, CallerProof
from gateway.selftest.trial import ConfigTrial

_METADATA: Final = frozenset(
    {"169.254.169.254", "fd00:ec2::254", "metadata.google.internal", "100.100.100.200"}
)
"""Services of clouds that hand out credentials of the machine."""
_REDIS_PORT: Final = 6379


async def attack_destinations(trial: ConfigTrial) -> None:
    """Ask each route whose upstream is no app, without a credential and as a stranger."""
    for route in trial.forwarding:
        code, what = _danger(trial.settings, route)
        if not code:
            continue
        attempts = (CallerProof(()), trial.callers.bearer(MEMBER))
        for by in attempts[: 1 if route.auth is not Auth.REQUIRED else 2]:
            done = await trial.ask(route, by=by)
            if done.arrived:
                message = f"its upstream is {what}: a client reaches it"
                trial.found(code, route.name, message, done, done.arrived[0])


def _danger(settings: Settings, route: RouteSettings) -> tuple[str, str]:
    """Return the code and the name of what ``route`` leads to; empty for an app."""
    for server in settings.upstreams[route.upstream or ""].servers:
        if settings.admin is not None and _is_at(server, settings.admin.listen):
            return "admin-reached", "the private listener"
        if server.host in _METADATA:
            return "metadata-reached", "the metadata service of the cloud"
        if any(
            _is_at(server, place) for place in settings.server.listen if isinstance(place, HostPort)
        ):
            return "gateway-reached", "this gateway, which trusts its own machine"
        if _is_store(server, settings):
            return "store-reached", "the store"
    return "", ""


def _is_at(server: ServerAddress, place: HostPort | UnixPath) -> bool:
    """Whether ``server`` is what listens at ``place``."""
    if isinstance(place, UnixPath):
        return server.scheme == "unix" and server.path == place.path
    if server.scheme == "unix" or server.port != place.port:
        return False
    return server.host == place.host or (_is_here(place.host) and is_loopback(server.host))


def _is_here(host: str) -> bool:
    """Whether ``host`` is of this machine: loopback, or all of its addresses."""
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return host == "localhost"


def _is_store(server: ServerAddress, settings: Settings) -> bool:
    url = urlsplit(settings.redis.url.get_secret_value())
    if url.scheme not in ("redis", "rediss"):
        return False
    return (server.host, server.port) == (url.hostname, url.port or _REDIS_PORT)
