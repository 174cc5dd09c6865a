"""Health and metrics, for orchestrators: a listener of its own, which clients cannot reach."""

from typing import NamedTuple, Protocol

from aiohttp import web

from gateway.telemetry import prometheus
from gateway.telemetry.snapshot import MetricsSnapshot

_MAX_BODY_BYTES = 4096


class Status(NamedTuple):
    """How a gateway is."""

    is_ready: bool
    """Whether it should be sent requests."""
    status: str
    """``ok``, ``draining``, or ``down`` where no worker serves."""
    store: str
    """``ok`` or ``unavailable``."""


class StatusSource(Protocol):
    """Who knows: the process itself, or the supervisor of several."""

    async def state(self) -> Status:
        """How it is now."""

    async def snapshot(self) -> MetricsSnapshot:
        """What was counted."""


class AdminPages:
    """``/healthz``: the process runs. ``/readyz``: it can serve, so send it requests."""

    def __init__(self, source: StatusSource) -> None:
        self._source = source

    def app(self) -> web.Application:
        """The app of the private listener."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/healthz", self.health),
                web.get("/readyz", self.ready),
                web.get("/metrics", self.metrics),
            ]
        )
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
        state = await self._source.state()
        said = {"status": state.status, "store": state.store}
        return web.json_response(said, status=200 if state.is_ready else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        """All figures, in Prometheus' text format."""
        page = prometheus.page(await self._source.snapshot())
        return web.Response(body=page, headers={"Content-Type": prometheus.CONTENT_TYPE})
