"""Resolves a request to host, canonical target and route, with a cache."""

from functools import lru_cache
from typing import NamedTuple

from multidict import istr

from gateway.core.errors import BadHost, BadTarget, MethodNotAllowed, UnsupportedMethod
from gateway.core.method import KNOWN_METHODS, UNFORWARDED
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

_HTTP_1_1 = (1, 1)
_HOST = istr("Host")
_USUAL_METHODS = KNOWN_METHODS - UNFORWARDED

_CACHED = 4096
_LONGEST_CACHED = 512
"""Length of cached targets, in characters: the cache takes 8 MiB at most."""


class ResolvedRoute(NamedTuple):
    """The route of a request, with the target as matched and as forwarded."""

    host: str
    """Normalised. HTTP/1.0 may send none: then it is the public host, also for the app."""
    target: Target
    route: Route
    forwarded: Target
    """Sent to the upstream: the target, unless the route replaces a prefix."""


class RouteResolver:
    """Resolves request heads by the routes of one config."""

    def __init__(self, routes: RouteTable, public_host: str) -> None:
        self._public_host = public_host
        self._has_own_page = routes.has_own_page
        self._read_plain = routes.plain_reader()
        # Of another object's method: a cache of one's own would be a reference cycle.
        self._resolve = _Resolution(routes).resolve
        self._cached = lru_cache(maxsize=_CACHED)(self._resolve)

    def resolve(self, head: RequestHead) -> ResolvedRoute:
        """
        Resolve ``head``, by its method, target and Host alone.

        Raises `UnsupportedMethod`, `BadTarget`, `BadHost`, `NoRoute` or `MethodNotAllowed`; none of
        these is cached.
        """
        target, host_field = head.target, head.headers.get(_HOST)
        if not host_field:
            if head.version >= _HTTP_1_1:
                raise BadHost("empty Host")
            host_field = self._public_host
        read_plain = self._read_plain
        # A client that repeats its fields often repeats the target, too: then the cache has it.
        if read_plain is not None and head.memo is None and (plain := read_plain(target)):
            resolved = self._resolve_plain(*plain, head.method, host_field)
            if resolved is not None:
                return resolved
        resolve = self._cached if len(target) <= _LONGEST_CACHED else self._resolve
        return resolve(head.method, target, host_field)

    def _resolve_plain(
        self, target: Target, routes: list[Route], method: str, host_field: str
    ) -> ResolvedRoute | None:
        """Resolve a target that is canonical as it is; None where more has to be looked at."""
        if method not in _USUAL_METHODS or self._has_own_page(target.path):
            return None
        for route in routes:
            if route.methods is None or method in route.methods:
                if route.prefix or route.new_prefix:
                    return None
                host = parse_authority(host_field).host
                return tuple.__new__(ResolvedRoute, (host, target, route, target))
        return None


class _Resolution:
    """Resolves without a cache."""

    __slots__ = ("_routes",)

    def __init__(self, routes: RouteTable) -> None:
        self._routes = routes

    def resolve(self, method: str, raw_target: str, host_field: str) -> ResolvedRoute:
        is_usual = method in _USUAL_METHODS
        if not is_usual and method in UNFORWARDED:
            raise UnsupportedMethod(method)
        absolute, origin_form = None, raw_target
        if raw_target[:1] != "/":
            absolute, origin_form = split_absolute(raw_target)
        authority = parse_authority(host_field)
        if absolute is not None and not absolute.agrees_with(authority):
            raise BadHost("the target's authority differs from Host")
        host, target = authority.host, canonical_target(origin_form)
        route = self._route(host, target, method)
        if not is_usual and not route.takes(method):
            raise UnsupportedMethod("a method that the gateway does not know")
        forwarded = target
        if route.prefix or route.new_prefix:
            forwarded = with_prefix_replaced(target, route.prefix, route.new_prefix)
        # Half the time of a call of the class, on each path with an id that is new.
        return tuple.__new__(ResolvedRoute, (host, target, route, forwarded))

    def _route(self, host: str, target: Target, method: str) -> Route:
        path = target.path
        try:
            route = self._routes.match(host, path, method)
        except MethodNotAllowed:
            if method in KNOWN_METHODS:
                raise
            raise UnsupportedMethod("no route lists the method") from None
        if "%" in path or ";" in path:
            self._check_readings(route, host, target, method)
        return route

    def _check_readings(self, route: Route, host: str, target: Target, method: str) -> None:
        """Refuse a target that an app may read as a path of another route."""
        if target.has_encoded_slash and not route.keep_encoded_slashes:
            raise BadTarget("encoded slash")
        for alternative in alternative_paths(target.path):
            if not self._leads_to(route, host, alternative, method):
                raise BadTarget("another reading of the path leads to another route")

    def _leads_to(self, route: Route, host: str, path: str, method: str) -> bool:
        try:
            return self._routes.match(host, path, method) is route
        except MethodNotAllowed:  # routes of another pattern
            return False
