"""
The apps of operators: on the private listener, and on the socket of `admin.route`.

The private listener has probes, metrics, the API and the dashboard. The route has the dashboard and
its API alone, for people that the pipeline lets pass.
"""

import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from aiohttp import web

from gateway.admin.access import AdminAccess
from gateway.admin.access_control import AccessControl
from gateway.admin.api import AdminActions, Api
from gateway.admin.app import AdminPages
from gateway.admin.audit_api import AuditApi
from gateway.admin.connections import PrivateConnections, received
from gateway.admin.dashboard import Dashboard
from gateway.admin.feed import DashboardSource, Feed
from gateway.admin.operations import Operations, OperationsApi
from gateway.admin.site import Handshakes, PrivateSite
from gateway.audit.switch import NO_AUDIT, AuditSwitch
from gateway.config.addresses import HostPort
from gateway.config.server import AdminSettings

_SHUTDOWN_S: Final = 1.0
"""Time for answers that are under way when the gateway has stopped."""
_IDLE_S: Final = 75.0
"""Time for a head, and between two requests; Prometheus connects again after it."""
_BOUNDS_OF_ROUTE: Final[Mapping[str, int]] = dict.fromkeys(
    ("max_line_size", "max_field_size", "max_headers"), 1 << 24
)
"""
Never reached: the gateway has bounded what it lets pass. An answer of aiohttp to a longer field
would repeat its beginning, and cookies of apps are kept from scripts.
"""
_MAX_BODY_BYTES: Final = 64 * 1024
"""
A request that is to be explained may have as many fields as one that is served; a line of the audit
file has lists of a hundred ids at the most.
"""

CurrentSettings = Callable[[], AdminSettings]


class AdminServices(NamedTuple):
    """The sources and services behind the apps."""

    source: DashboardSource
    actions: AdminActions
    trail: AuditSwitch = NO_AUDIT
    operations: Operations | None = None
    """None to show figures alone."""
    public_url: Callable[[], str] = str
    """Returns `server.public_url`, for pages of the route."""


class AdminSockets(NamedTuple):
    """Sockets of the apps. They listen already, and their owner closes them."""

    private: Sequence[socket.socket]
    handshakes: Handshakes | None = None
    """TLS of the private listener; None for plain HTTP."""
    route: socket.socket | None = None
    """For requests of `admin.route` alone: only this gateway reaches it."""


@asynccontextmanager
async def serving(
    current: CurrentSettings, services: AdminServices, sockets: AdminSockets
) -> AsyncIterator[None]:
    """Serve operators until the context ends; ``current`` returns the settings in use."""
    feed = Feed(services.source)
    runners: list[web.AppRunner] = []
    sites: list[PrivateSite] = []
    bounded = PrivateConnections()

    async def served(app: web.Application, **bounds: Any) -> web.Server:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S, **bounds)
        runners.append(runner)
        await runner.setup()
        return cast("web.Server", runner.server)  # it is there after `setup`

    try:
        app = private_app(current, services, feed)
        app.middlewares.append(bounded.noted)  # the last: a body that has not come is no use
        make = bounded.made_by(await served(app, keepalive_timeout=_IDLE_S))
        sites.append(PrivateSite(sockets.private, make, sockets.handshakes))
        await sites[-1].start()
        if sockets.route is not None:
            make_own = await served(route_app(current, services, feed), **_BOUNDS_OF_ROUTE)
            sites.append(PrivateSite([sockets.route], make_own))
            await sites[-1].start()
        feed.keep_history()
        yield
    finally:
        feed.close()
        for site in sites:
            await site.close()
        for runner in runners:
            await runner.cleanup()


def private_app(current: CurrentSettings, services: AdminServices, feed: Feed) -> web.Application:
    """Make the app of the private listener."""
    control = AccessControl(lambda: access_of(current()), trail=services.trail)
    known_hosts = access_of(current()).known_hosts
    dashboard = Dashboard(feed, control)
    app = _app(control, dashboard, services)
    app.add_routes(AdminPages(services.source, known_hosts).routes())
    app.add_routes(dashboard.sign_in_routes())
    app.add_routes(AuditApi(services.trail, control).routes())
    return app


def route_app(current: CurrentSettings, services: AdminServices, feed: Feed) -> web.Application:
    """Make the app of `admin.route`."""

    def access() -> AdminAccess:
        host = frozenset({urlsplit(services.public_url()).netloc})
        return AdminAccess(host, is_read_only=current().read_only, is_route=True)

    control = AccessControl(access, trail=services.trail)
    return _app(control, Dashboard(feed, control), services)


def _app(control: AccessControl, dashboard: Dashboard, services: AdminServices) -> web.Application:
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[control.guarded, received])
    app.add_routes(dashboard.routes())
    app.add_routes(Api(services.actions, services.trail).routes())
    app.on_response_prepare.append(_remove_server_field)
    if services.operations is not None:
        app.add_routes(OperationsApi(services.operations).routes())
    return app


async def _remove_server_field(_: web.Request, response: web.StreamResponse) -> None:
    """Remove ``Server``: names and versions of libraries help attackers alone."""
    response.headers.popall("Server", None)


def access_of(settings: AdminSettings) -> AdminAccess:
    """Compile what the config says of access to the private listener."""
    listen = settings.listen
    host = (listen.host,) if isinstance(listen, HostPort) else ()
    token = "" if settings.token is None else settings.token.get_secret_value()
    names = () if settings.tls is None else settings.tls.names
    known_hosts = frozenset({"localhost", *host, *settings.hosts})
    return AdminAccess(known_hosts, token, settings.read_only, names)
