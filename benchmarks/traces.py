"""
Measure the CPU cost of traces per request: of its stages, spans and export, without the sockets.

    python -m benchmarks.traces
"""

import asyncio
import time
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, TraceIdRatioBased

from gateway.core.handling import Admit, LogRequest
from gateway.core.record import RequestRecord
from gateway.core.request import RequestHead
from gateway.pipeline.request import RequestPipeline
from gateway.runtime.services.tracing import traced_stages
from gateway.telemetry.otel import OpenTelemetryTraces
from tests.fakes.heads import request_head
from tests.fakes.pipelines import PRIVATE, SESSION, pipeline_for

ROUNDS, CALLS = 5, 2000
HEAD = request_head(SESSION, target="/orders/7?page=2")


class _Encoding(SpanExporter):
    """Encodes what it gets, as the exporter does, and sends it nowhere."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def _log(*_: object) -> None:
    """Log nothing."""


def parts(sampler: Sampler | None) -> tuple[Admit, LogRequest, TracerProvider | None]:
    """Return the stages of a session request, and what logs it; None for no traces."""
    pipeline = pipeline_for(PRIVATE).pipeline
    if sampler is None:
        return pipeline.admit, _log, None
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Encoding()))
    traces = OpenTelemetryTraces(provider.get_tracer("benchmark"))
    traced = RequestPipeline(traced_stages(pipeline.stages, traces))
    return traces.admit(traced.admit, lambda _: True), traces.log(_log), provider


async def _run(admit: Admit, log: LogRequest, head: RequestHead) -> None:
    for _ in range(CALLS):
        record = RequestRecord()
        await admit(head, record)
        log(head, record, 200, 0, 0.0)


def cpu_us(sampler: Sampler | None) -> float:
    """Measure the CPU time of a request, in microseconds; the best of `ROUNDS` rounds."""
    admit, log, provider = parts(sampler)
    rounds = []
    for _ in range(ROUNDS):
        began_s = time.process_time()
        asyncio.run(_run(admit, log, HEAD))
        if provider is not None:
            provider.force_flush()
        rounds.append((time.process_time() - began_s) / CALLS * 1e6)
    return min(rounds)


def main() -> None:
    """Print a line for each way to sample."""
    without = cpu_us(None)
    print(f"without traces: {without:.1f} µs")
    for name, sampler in (
        ("none is recorded", ALWAYS_OFF),
        ("one in a hundred is recorded", TraceIdRatioBased(0.01)),
        ("all are recorded", ALWAYS_ON),
    ):
        print(f"{name}: {cpu_us(sampler) - without:.1f} µs more")


if __name__ == "__main__":
    main()
