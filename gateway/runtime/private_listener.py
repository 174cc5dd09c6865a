"""The private listener of a process: its sockets, its TLS, and the socket of `admin.route`."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

from gateway.admin.listener import AdminServices, AdminSockets, serving
from gateway.config.listen import UnixPath
from gateway.config.schema import Settings
from gateway.config.server import AdminSettings
from gateway.core.errors import StartError
from gateway.proxy.downstream import bind, tls
from gateway.proxy.downstream.tls import ServerTls
from gateway.runtime.services.listeners import admin_files, close_all, naming_key
from gateway.util.background import background
from gateway.util.temporary_folder import temporary_folder

_SOCKET = "dashboard.sock"


@contextmanager
def dashboard_socket(settings: Settings) -> Iterator[str | None]:
    """
    Yield the path of the socket of `admin.route`; None where the config has no such route.

    It is in a folder that its owner alone may enter, which is removed in the end: to reach the
    socket is the proof that a request comes from this gateway. Raises `StartError`.
    """
    if settings.admin is None or settings.admin.route is None:
        yield None
        return
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder("gateway-dashboard-"))
        except OSError as error:
            raise StartError(f"admin.route: no temporary folder: {error.strerror}") from error
        yield str(folder / _SOCKET)


@asynccontextmanager
async def private_listener(
    current: Callable[[], Settings], services: AdminServices, route: str | None = None
) -> AsyncIterator[str | None]:
    """
    Serve operators until the context ends, if the config has a private listener; yield its name.

    ``current`` returns the settings in use, and ``route`` is what `dashboard_socket` yields. Raises
    `StartError`.
    """
    admin = current().admin
    if admin is None:
        yield None
        return
    services = services._replace(public_url=lambda: current().server.public_url)
    async with AsyncExitStack() as stack:
        with naming_key("admin.listen"):
            sockets = bind.bind(admin.listen)
        stack.callback(close_all, sockets)
        handshakes = _handshakes(admin)
        if handshakes is not None:
            await stack.enter_async_context(background(tls.watch(lambda: handshakes)))
        from_route = None
        if route is not None:
            [from_route] = bind.bind(UnixPath(route))
            stack.callback(bind.close, from_route)
        places = AdminSockets(sockets, handshakes, from_route)
        await stack.enter_async_context(serving(lambda: current().admin or admin, services, places))
        yield bind.name_of(sockets[0])


def _handshakes(admin: AdminSettings) -> ServerTls | None:
    return None if admin.tls is None else ServerTls(admin_files(admin.tls))
