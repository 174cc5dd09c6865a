"""Where a request leads: host, canonical target and route, decided once and then remembered."""

from functools import lru_cache
from typing import NamedTuple

from gateway.core.errors import BadHost, BadTarget, UnsupportedMethod
from gateway.core.request import RequestHead, Target
from gateway.core.route import Route
from gateway.routing.table import RouteTable
from gateway.routing.target import (
    alternative_paths,
    canonical_target,
    parse_authority,
    split_absolute,
    with_prefix_replaced,
)

_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})  # tunnels past us; echoes credentials back
_HTTP_1_1 = (1, 1)

_REMEMBERED = 4096
_LONGEST_REMEMBERED = 512
"""In characters: together some 8 MiB at the most, whatever clients ask for."""


class ResolvedRoute(NamedTuple):
    """What was matched, and what becomes of it."""

    host: str
    """As routes know it. HTTP/1.0 may name none: then it is ours, here as upstream."""
    target: Target
    route: Route
    forwarded: Target
    """Serialised upstream as it stands here: the target, unless the route replaces a prefix."""


class RouteResolver:
    """The routes of one config, asked with request heads."""

    def __init__(self, routes: RouteTable, public_host: str) -> None:
        self._routes = routes
        self._public_host = public_host
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._decide)

    def resolve(self, head: RequestHead) -> ResolvedRoute:
        """
        Where ``head`` leads: the same for the same method, target and Host.

        Raises `UnsupportedMethod`, `BadTarget`, `BadHost` or `NoRoute`. Only what leads somewhere
        is remembered.
        """
        named = head.headers.get("Host")
        if not named and head.version >= _HTTP_1_1:
            raise BadHost("empty Host")
        decide = self._remembered if len(head.target) <= _LONGEST_REMEMBERED else self._decide
        return decide(head.method, head.target, named or self._public_host)

    def _decide(self, method: str, raw_target: str, named: str) -> ResolvedRoute:
        if method in _REFUSED_METHODS:
            raise UnsupportedMethod(method)
        authority, origin_form = split_absolute(raw_target)
        host = parse_authority(named)
        if authority is not None and authority != host:
            raise BadHost("the target's authority differs from Host")
        target = canonical_target(origin_form)
        route = self._route(host.host, target, method)
        forwarded = target
        if route.prefix or route.new_prefix:
            forwarded = with_prefix_replaced(target, route.prefix, route.new_prefix)
        return ResolvedRoute(host.host, target, route, forwarded)

    def _route(self, host: str, target: Target, method: str) -> Route:
        route = self._routes.match(host, target.path, method)
        if target.has_encoded_slash and not route.keep_encoded_slashes:
            raise BadTarget("encoded slash")
        for reading in alternative_paths(target.path):
            if self._routes.match(host, reading, method) is not route:
                raise BadTarget("another reading of the path leads to another route")
        return route
