"""Settings to the routes that the journey knows."""

from gateway.config.schema import LimitSettings, RouteSettings, Settings, UpstreamSettings
from gateway.messages import Limit, Route, UpstreamTimeouts

_DEFAULT = "default"


def routes(settings: Settings) -> tuple[Route, ...]:
    """The routes of the file, in its order; the gateway's own pages are not among them."""
    limits = {name: limit(name, entry) for name, entry in settings.limits.items()}
    return tuple(
        _route(entry, limits, settings.upstreams[entry.upstream]) for entry in settings.routes
    )


def limit(name: str, entry: LimitSettings) -> Limit:
    """One entry of ``limits:``."""
    return Limit(
        name=name,
        rate=entry.rate.requests,
        window_s=entry.rate.window_s,
        on_store_failure=entry.on_store_failure,
    )


def _route(entry: RouteSettings, limits: dict[str, Limit], upstream: UpstreamSettings) -> Route:
    named = entry.limits
    if named is None:
        named = (_DEFAULT,) if _DEFAULT in limits else ()
    return Route(
        name=entry.name,
        path=entry.match.path,
        upstream=entry.upstream,
        auth=entry.auth,
        host=entry.match.host,
        methods=_with_head(entry.match.methods),
        limits=tuple(limits[name] for name in named),
        forward_credentials=entry.forward_credentials,
        keep_encoded_slashes=entry.encoded_slashes == "keep",
        timeouts=_timeouts(entry, upstream),
        upgrades=frozenset(entry.upgrades),
        prefix=_prefix(entry),
        new_prefix=entry.rewrite or "",
        hidden_prefix=entry.strip_prefix or "",
        rewrites_host=upstream.host == "rewrite",
    )


def _prefix(entry: RouteSettings) -> str:
    """What is replaced of the paths of a route; empty for nothing."""
    if entry.rewrite is not None:
        return entry.match.path.removesuffix("/*").removesuffix("/")
    return entry.strip_prefix or ""


def _timeouts(route: RouteSettings, upstream: UpstreamSettings) -> UpstreamTimeouts:
    """Those of the route, and for the rest those of its upstream."""
    named = {key: value for key, value in route.timeouts if value is not None}
    return UpstreamTimeouts(**{**dict(upstream.timeouts), **named})


def _with_head(methods: frozenset[str] | None) -> frozenset[str] | None:
    """HEAD asks for what GET would answer (RFC 9110 section 9.3.2), so it needs the same rights."""
    return methods | {"HEAD"} if methods and "GET" in methods else methods
