"""Health, for orchestrators: a listener of its own, which clients cannot reach."""

from collections.abc import Callable

from aiohttp import web

from gateway.errors import StoreUnavailable
from gateway.ports import Store


class AdminPages:
    """``/healthz``: the process runs. ``/readyz``: it can serve, so send it requests."""

    def __init__(self, store: Store, is_draining: Callable[[], bool]) -> None:
        self._store = store
        self._is_draining = is_draining

    def app(self) -> web.Application:
        """The app of the private listener."""
        app = web.Application()
        app.add_routes([web.get("/healthz", self.health), web.get("/readyz", self.ready)])
        return app

    async def health(self, _: web.Request) -> web.Response:
        """Alive as long as it answers: a restart would not bring Redis back."""
        return web.json_response({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """
        Not ready while draining.

        A store that does not answer is told but does not count: it would take all gateways out of
        the balancer at once, and with them the public routes that need no store.
        """
        draining = self._is_draining()
        state = {"status": "draining" if draining else "ok", "store": await self._store_status()}
        return web.json_response(state, status=503 if draining else 200)

    async def _store_status(self) -> str:
        try:
            await self._store.ping()
        except StoreUnavailable:
            return "unavailable"
        return "ok"
