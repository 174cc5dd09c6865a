"""Health and metrics, on the private listener, which clients cannot reach."""

import asyncio
from typing import Protocol

from aiohttp import web

from gateway.admin.guard import host_refusal
from gateway.admin.problems import problem_response
from gateway.admin.status import Status
from gateway.telemetry import prometheus
from gateway.telemetry.snapshot import MetricsSnapshot


class StatusSource(Protocol):
    """Source of status and metrics: this process, or the supervisor of several workers."""

    async def state(self) -> Status:
        """Current status."""

    async def snapshot(self) -> MetricsSnapshot:
        """Current metrics."""


class AdminPages:
    """
    Pages for probes and for Prometheus.

    ``/healthz``: the process runs. ``/startupz``: it has started. ``/readyz``: it can serve;
    ``?verbose`` lists what it needs. ``/metrics``: its metrics.
    """

    def __init__(self, source: StatusSource, known_hosts: frozenset[str]) -> None:
        self._source = source
        self._known_hosts = known_hosts

    def routes(self) -> list[web.RouteDef]:
        """List the routes of the pages."""
        return [
            web.get("/healthz", self.health),
            web.get("/startupz", self.started),
            web.get("/readyz", self.ready),
            web.get("/metrics", self.metrics),
        ]

    async def health(self, _: web.Request) -> web.Response:
        """Answer 200 always: restarting the process would not bring Redis back."""
        return web.json_response({"status": "ok"})

    async def started(self, _: web.Request) -> web.Response:
        """Answer 503 until connections are accepted for the first time, and 200 from then on."""
        is_started = (await self._source.state()).is_started
        document = {"status": "started" if is_started else "starting"}
        return web.json_response(document, status=200 if is_started else 503)

    async def ready(self, request: web.Request) -> web.Response:
        """
        Answer 503 while starting or draining; ``?verbose`` adds a list of checks.

        An unavailable store is reported, but the gateway stays ready: otherwise all gateways would
        leave the balancer at once, and with them the public routes that need no store. The checks
        name upstreams, so they are refused to a foreign host, as the metrics are.
        """
        is_verbose = "verbose" in request.query
        refused = host_refusal(request.headers, self._known_hosts) if is_verbose else None
        if refused is not None:
            return problem_response(403, "forbidden", refused)
        state = await self._source.state()
        document: dict[str, object] = {"status": state.status, "store": state.store}
        if state.audit:
            document["audit"] = state.audit
        if is_verbose:
            document["checks"] = [check._asdict() for check in state.checks]
        return web.json_response(document, status=200 if state.is_ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with all metrics, in the text format of Prometheus; 403 for a foreign host."""
        refused = host_refusal(request.headers, self._known_hosts)
        if refused is not None:
            return problem_response(403, "forbidden", refused)
        snapshot = await self._source.snapshot()
        page = await asyncio.to_thread(prometheus.page, snapshot)  # many routes make a long page
        return web.Response(body=page, headers={"Content-Type": prometheus.CONTENT_TYPE})
