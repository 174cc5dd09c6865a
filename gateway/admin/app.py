"""Health and metrics, on the private listener, which clients cannot reach."""

from typing import NamedTuple, Protocol

from aiohttp import web

from gateway.admin.api import problem_response
from gateway.admin.guard import host_refusal
from gateway.telemetry import prometheus
from gateway.telemetry.snapshot import MetricsSnapshot

_MAX_BODY_BYTES = 4096


class Status(NamedTuple):
    """Readiness of a gateway, and the state of its store."""

    is_ready: bool
    """Whether a balancer should send it requests."""
    status: str
    """``ok``, ``draining``, or ``down`` where no worker serves."""
    store: str
    """``ok`` or ``unavailable``."""


class StatusSource(Protocol):
    """Source of status and metrics: this process, or the supervisor of several workers."""

    async def state(self) -> Status:
        """Current status."""

    async def snapshot(self) -> MetricsSnapshot:
        """Current metrics."""


class AdminPages:
    """``/healthz``: the process runs. ``/readyz``: it can serve. ``/metrics``: its metrics."""

    def __init__(self, source: StatusSource, known_hosts: frozenset[str]) -> None:
        self._source = source
        self._known_hosts = known_hosts

    def app(self) -> web.Application:
        """Make the app of the private listener."""
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
        """Answer 200 always: restarting the process would not bring Redis back."""
        return web.json_response({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """
        Answer 503 while draining.

        An unavailable store is reported, but the gateway stays ready: otherwise all gateways would
        leave the balancer at once, and with them the public routes that need no store.
        """
        state = await self._source.state()
        document = {"status": state.status, "store": state.store}
        return web.json_response(document, status=200 if state.is_ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with all metrics, in the text format of Prometheus; 403 for a foreign host."""
        refused = host_refusal(request.headers, self._known_hosts)
        if refused is not None:
            return problem_response(403, "forbidden", refused)
        page = prometheus.page(await self._source.snapshot())
        return web.Response(body=page, headers={"Content-Type": prometheus.CONTENT_TYPE})
