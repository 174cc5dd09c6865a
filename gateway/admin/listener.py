"""The private listener: health, metrics and the API on a port of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.admin.api import AdminActions, Api
from gateway.admin.app import AdminPages, StatusSource
from gateway.config.server import AdminSettings
from gateway.core.errors import StartError


@asynccontextmanager
async def listening(
    settings: AdminSettings | None, source: StatusSource, actions: AdminActions
) -> AsyncIterator[int | None]:
    """Serve on the private listener, if the config has one; its port. Raises `StartError`."""
    if settings is None:
        yield None
        return
    host, port = settings.listen
    known_hosts = frozenset({"localhost", host, *settings.hosts})
    app = AdminPages(source, known_hosts).app()
    app.add_routes(Api(actions, known_hosts).routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
