"""
What traces a gateway: the port that its parts are wrapped by where traces are exported.

Without tracing nothing is wrapped, and no request pays for it. `gateway.telemetry.otel` implements
it on OpenTelemetry.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from gateway.core.handling import Admit, LogRequest
from gateway.core.request import Client

PartT = TypeVar("PartT")

TRACE_FIELDS = ("traceparent", "tracestate")
"""Header fields of W3C Trace Context, which the gateway reads and writes itself while it traces."""


class Traces(Protocol):
    """Makes spans of requests, and of what happens in them."""

    def part(self, part: PartT, calls: Mapping[str, str]) -> PartT:
        """Return what does as ``part`` does; ``calls`` are spans: methods, and their names."""

    def admit(self, inner: Admit, is_trusted: Callable[[Client], bool]) -> Admit:
        """
        Return what begins a trace of each request, and does as ``inner`` does.

        A peer that ``is_trusted`` says which trace a request belongs to; others begin a new one.
        """

    def log(self, inner: LogRequest) -> LogRequest:
        """Return what ends the trace of each request, and does as ``inner`` does."""
