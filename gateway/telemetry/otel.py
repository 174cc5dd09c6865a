"""
Traces by OpenTelemetry (the extra ``otel``).

A request is a server span. Below it are one span for each stage, one for each call of the store and
of Magic within a stage, and a client span for the app, whose context the app gets as
``traceparent`` (W3C Trace Context). No span holds a query, a credential, an identity, or a key of
the store.
"""

from asyncio import CancelledError, Future
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar, cast

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.core.handling import Admit, LogRequest
from gateway.core.method import KNOWN_METHODS
from gateway.core.record import RequestRecord
from gateway.core.request import Client, Outbound, Reply, RequestHead
from gateway.telemetry.tracing import TRACE_FIELDS, PartT
from gateway.util.awaited import Around

T = TypeVar("T")

_FIRST_SERVER_ERROR = 500
_OTHER_METHOD = "_OTHER"
"""As the semantic conventions call a method that is not known."""
_PROPAGATOR = TraceContextTextMapPropagator()
_NO_CONTEXT = contexts.Context()


class OpenTelemetryTraces:
    """The port `Traces`, by a tracer of OpenTelemetry."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: dict[int, _OpenTrace] = {}
        """Of requests under way, by the identity of their records: a head may be replaced."""

    def part(self, part: PartT, calls: Mapping[str, str]) -> PartT:
        return cast("PartT", _TracedPart(part, calls, self._tracer))

    def admit(self, inner: Admit, is_trusted: Callable[[Client], bool]) -> Admit:
        def admit(
            head: RequestHead, record: RequestRecord
        ) -> Coroutine[Any, Any, Outbound | Reply]:
            parent = _sent_context(head) if is_trusted(head.peer) else _NO_CONTEXT
            opened = self._open[id(record)] = _OpenTrace(self._tracer, parent)
            if not opened.is_recorded:
                return _TracedAdmission(inner(head, record), opened)
            token = contexts.attach(opened.context)
            try:
                rest = inner(head, record)
            finally:
                contexts.detach(token)
            return _TracedAdmission(rest, opened)

        return admit

    def log(self, inner: LogRequest) -> LogRequest:
        def log(
            head: RequestHead | None,
            record: RequestRecord,
            status: int,
            bytes_out: int,
            duration_s: float,
        ) -> None:
            opened = self._open.pop(id(record), None)
            if opened is not None and head is not None:
                opened.end(head, record, status)
            inner(head, record, status, bytes_out, duration_s)

        return log


def _sent_context(head: RequestHead) -> contexts.Context:
    """Return the trace that the peer names; none where it names none, or several."""
    parent, state = (head.headers.getall(name, ()) for name in TRACE_FIELDS)
    if len(parent) != 1:
        return _NO_CONTEXT
    carrier = {TRACE_FIELDS[0]: parent[0], TRACE_FIELDS[1]: ",".join(state)}
    return _PROPAGATOR.extract(carrier, _NO_CONTEXT)


class _OpenTrace:
    """The spans of a request that is under way: its own, and the app's once it is admitted."""

    def __init__(self, tracer: Tracer, parent: contexts.Context) -> None:
        self._tracer = tracer
        self._span = tracer.start_span("request", parent, SpanKind.SERVER)
        self.is_recorded = self._span.is_recording()
        """Whether the trace is sampled: otherwise there are no spans below this one."""
        self.context = trace.set_span_in_context(self._span, _NO_CONTEXT)
        self._app: Span | None = None

    def admitted(self, answer: Outbound | Reply) -> Outbound | Reply:
        """Begin the app's span, and tell the app of it."""
        if isinstance(answer, Reply) or answer.route.is_internal:
            return answer
        if self.is_recorded:
            name = f"app {answer.route.upstream}"
            self._app = self._tracer.start_span(name, self.context, SpanKind.CLIENT)
        told = _field_lines(self._app or self._span)
        return answer._replace(fields=answer.fields + told)

    def end(self, head: RequestHead, record: RequestRecord, status: int) -> None:
        """End the spans, and say what the request was and how it was answered."""
        if self._app is not None:
            self._app.end()
        span = self._span
        if self.is_recorded:
            method = head.method if head.method in KNOWN_METHODS else _OTHER_METHOD
            span.update_name(f"{method} {record.route}".rstrip())
            span.set_attributes(_described(method, head, record, status))
            if status >= _FIRST_SERVER_ERROR:
                span.set_status(Status(StatusCode.ERROR))
        span.end()


def _field_lines(span: Span) -> bytes:
    """Serialise what the app is told of the trace, each line with its CRLF."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span, _NO_CONTEXT))
    return "".join(f"{name}: {value}\r\n" for name, value in carrier.items()).encode("ascii")


def _described(
    method: str, head: RequestHead, record: RequestRecord, status: int
) -> dict[str, str | int]:
    """Return what is known of a request, by the names of the semantic conventions."""
    told: dict[str, str | int] = {
        "http.request.method": method,
        "http.response.status_code": status,
        "network.protocol.version": "{}.{}".format(*head.version),
        "server.address": record.host,
        "url.path": record.path,
        "client.address": record.client,
        "gateway.route": record.route,
        "gateway.request_id": head.request_id,
        "gateway.auth_method": record.auth_method,
        "error.type": record.refusal,
        "gateway.reason": record.reason,
    }
    return {name: value for name, value in told.items() if value != ""}


class _TracedAdmission(Around[Outbound | Reply]):
    """The stages that may have to wait: what they await is part of the request's trace."""

    def __init__(self, rest: Coroutine[Any, Any, Outbound | Reply], opened: _OpenTrace) -> None:
        super().__init__(rest)
        self._opened = opened

    def __await__(self) -> Generator[Any, Any, Outbound | Reply]:
        if not self._opened.is_recorded:
            return self._opened.admitted((yield from self._rest.__await__()))
        token = contexts.attach(self._opened.context)
        try:
            answer = yield from self._rest.__await__()
        finally:
            contexts.detach(token)
        return self._opened.admitted(answer)


class _TracedPart:
    """Stands in front of a part of the gateway: each call in its table is a span."""

    def __init__(self, part: object, calls: Mapping[str, str], tracer: Tracer) -> None:
        self._part = part
        for method, name in calls.items():
            setattr(self, method, _traced(getattr(part, method), name, tracer))

    def __getattr__(self, name: str) -> object:
        return getattr(self._part, name)


def _traced(call: Callable[..., Any], name: str, tracer: Tracer) -> Callable[..., Any]:
    """
    Return ``call`` with a span around each run, and around what it awaits.

    Outside a trace that is recorded there is none: work in the background begins no trace.
    """

    def traced(*args: Any, **named: Any) -> Any:
        if not trace.get_current_span().is_recording():
            return call(*args, **named)
        span = tracer.start_span(name)
        context = trace.set_span_in_context(span)
        token = contexts.attach(context)
        try:
            answer = call(*args, **named)
        except BaseException as error:
            _end(span, error)
            raise
        finally:
            contexts.detach(token)
        if isinstance(answer, Future):
            answer.add_done_callback(partial(_end_of_future, span))
            return answer
        if isawaitable(answer):
            return _awaited(answer, span, context)
        span.end()
        return answer

    return traced


async def _awaited(answer: Awaitable[T], span: Span, context: contexts.Context) -> T:
    """Await ``answer`` within its span."""
    token = contexts.attach(context)
    try:
        value = await answer
    except BaseException as error:
        _end(span, error)
        raise
    finally:
        contexts.detach(token)
    span.end()
    return value


def _end_of_future(span: Span, future: "Future[Any]") -> None:
    """End the span of a future, which several may wait for."""
    error = CancelledError() if future.cancelled() else future.exception()
    if error is None:
        span.end()
    else:
        _end(span, error)


def _end(span: Span, error: BaseException) -> None:
    """End the span of a call that has raised; the message may hold what no span should."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))
    span.end()
