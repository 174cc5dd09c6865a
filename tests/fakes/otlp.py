"""A collector of traces that speaks OTLP over HTTP, read by the messages of OpenTelemetry."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_WITHIN_S = 30


class SpanSeen(NamedTuple):
    """A span, as it was exported."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    kind: int
    is_error: bool
    attributes: dict[str, str | int]


class Collector:
    """All spans that were exported to it."""

    def __init__(self) -> None:
        self.spans: list[SpanSeen] = []
        self.raw = b""
        """All bytes that were exported, as they are before they are compressed."""
        self._arrived = asyncio.Event()

    async def receive(self, request: web.Request) -> web.Response:
        """Take an export."""
        body = await request.read()
        if body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {
                        each.key: each.value.string_value or each.value.int_value
                        for each in span.attributes
                    }
                    self.spans.append(
                        SpanSeen(
                            about["service.name"],
                            span.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.kind,
                            span.status.code == span.status.STATUS_CODE_ERROR,
                            values,
                        )
                    )
        self._arrived.set()
        return web.Response(content_type="application/x-protobuf")

    async def one(self, is_it: Callable[[SpanSeen], bool]) -> SpanSeen:
        """Return the first span that ``is_it``, when it has arrived."""
        async with asyncio.timeout(_WITHIN_S):
            while (found := next(filter(is_it, self.spans), None)) is None:
                self._arrived.clear()
                await self._arrived.wait()
        return found


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """Run a collector; yields it and its address."""
    collector = Collector()
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.add_routes([web.post("/v1/traces", collector.receive)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
