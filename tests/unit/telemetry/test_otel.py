"""Spans of requests, as OpenTelemetry's own exporter in memory gets them."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from gateway.core.errors import Unauthenticated
from gateway.core.handling import Admit
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Reply, RequestHead
from gateway.telemetry.otel import OpenTelemetryTraces
from tests.fakes.heads import request_head
from tests.fakes.pipelines import PUBLIC, only_outbound, pipeline_for, sent_fields

HEAD = request_head(target="/public/x")
CALLS = ("now", "later", "future", "refuse", "refuse_later", "refuse_in_a_future", "cancelled")


class Part:
    """Has methods of each kind that parts have."""

    name = "part"

    def now(self) -> int:
        return 1

    async def later(self) -> int:
        await asyncio.sleep(0)
        return 1

    def future(self) -> "asyncio.Future[int]":
        made = self._future()
        made.set_result(1)
        return made

    def refuse(self) -> NoReturn:
        raise Unauthenticated("secret")

    async def refuse_later(self) -> NoReturn:
        raise Unauthenticated("secret")

    def refuse_in_a_future(self) -> "asyncio.Future[int]":
        made = self._future()
        made.set_exception(Unauthenticated("secret"))
        return made

    def cancelled(self) -> "asyncio.Future[int]":
        made = self._future()
        made.cancel()
        return made

    def _future(self) -> "asyncio.Future[int]":
        return asyncio.get_running_loop().create_future()


class World:
    """Traces, and the spans that have ended."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = OpenTelemetryTraces(provider.get_tracer("test"))

    def spans(self) -> list[ReadableSpan]:
        """Spans that have ended, the first first."""
        return list(self._exporter.get_finished_spans())

    async def run(
        self, inner: Admit, head: RequestHead = HEAD, *, is_trusted: bool = True
    ) -> Outbound | Reply:
        """Admit and log one request."""
        record, status = RequestRecord(), 500
        logged = []
        try:
            answer = await self.traces.admit(inner, lambda _: is_trusted)(head, record)
            status = answer.status if isinstance(answer, Reply) else 200
        except Unauthenticated:
            status = 401
            raise
        finally:
            self.traces.log(lambda *line: logged.append(line))(head, record, status, 0, 0.1)
        assert [(head, record, status, 0, 0.1)] == logged
        return answer


async def _called(part: Part, call: str) -> object:
    answer = getattr(part, call)()
    return answer if isinstance(answer, int) else await answer


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_is_a_span_below_its_request(call: str) -> None:
    """However it answers; the message of an error, which may hold anything, is not exported."""
    world = World()
    part = world.traces.part(Part(), {call: "a call"})
    told: list[object] = []

    async def inner(_head: RequestHead, _record: RequestRecord) -> Reply:
        try:
            told.append(await _called(part, call))
        except (Unauthenticated, asyncio.CancelledError) as error:
            told.append(type(error).__name__)
        return Reply(204, (), b"")

    await world.run(inner)
    await asyncio.sleep(0)  # the span of a future ends in the next turn of the loop

    ended = {span.name: span for span in world.spans()}
    inside, server = ended["a call"], ended["GET"]
    assert ("a call", server.context) == (inside.name, inside.parent)
    expected = {"cancelled": "CancelledError"}.get(
        call, "Unauthenticated" if call.startswith("refuse") else 1
    )
    assert [expected] == told
    attributes = inside.attributes or {}
    assert (None if expected == 1 else expected) == attributes.get("error.type")
    assert (expected == 1) == inside.status.is_unset
    assert "secret" not in inside.to_json()
    assert "part" == part.name


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF])
async def test_outside_a_recorded_trace_a_call_is_no_span(sampler: Sampler) -> None:
    """Work in the background begins no traces, and what is not sampled costs little."""
    world = World(sampler)
    part = world.traces.part(Part(), {"now": "a call"})
    assert 1 == part.now()

    async def inner(_head: RequestHead, _record: RequestRecord) -> Reply:
        return Reply(200 + part.now(), (), b"")

    if sampler is ALWAYS_OFF:
        assert 201 == (await world.run(inner))[0]
    assert [] == world.spans()


async def test_a_trace_ends_where_its_request_does() -> None:
    """What comes next is not below it: the next stage, the next request, and work in between."""
    world = World()
    part = world.traces.part(Part(), {"now": "first", "later": "second"})

    def inner(_head: RequestHead, _record: RequestRecord) -> Coroutine[Any, Any, Reply]:
        part.now()

        async def rest() -> Reply:
            await part.later()
            part.now()
            return Reply(204, (), b"")

        return rest()

    for _ in range(2):
        await world.run(inner)
        assert not trace.get_current_span().get_span_context().is_valid
    record = RequestRecord()
    begun = world.traces.admit(inner, lambda _: False)(HEAD, record)
    assert not trace.get_current_span().get_span_context().is_valid
    await begun
    world.traces.log(lambda *_: None)(HEAD, record, 204, 0, 0.1)

    assert ["first", "second", "first", "GET"] * 3 == [span.name for span in world.spans()]
    for index in range(0, 12, 4):
        *stages, server = world.spans()[index : index + 4]
        assert [server.context] * 3 == [stage.parent for stage in stages]
        assert server.parent is None


async def test_pages_of_the_gateway_itself_are_told_no_trace() -> None:
    """They are no app, and no client."""
    world, pipeline = World(), pipeline_for(PUBLIC).pipeline

    async def inner(head: RequestHead, record: RequestRecord) -> Outbound:
        outbound = only_outbound(await pipeline.admit(head, record))
        return outbound._replace(route=replace(outbound.route, is_internal=True))

    outbound = only_outbound(await world.run(inner))
    assert ([], 1) == (sent_fields(outbound, "traceparent"), len(world.spans()))


async def test_an_admitted_request_has_a_span_of_the_app() -> None:
    """The app is told of it; what the gateway answers itself has none."""
    world, pipeline = World(), pipeline_for(PUBLIC).pipeline
    outbound = only_outbound(await world.run(pipeline.admit))
    app, server = world.spans()
    assert ("app app", server.context) == (app.name, app.parent)
    assert app.context is not None
    [told] = sent_fields(outbound, "traceparent")
    assert (f"{app.context.trace_id:032x}", f"{app.context.span_id:016x}") == tuple(
        told.split("-")[1:3]
    )


async def test_a_refusal_ends_the_trace() -> None:
    """Nothing of it is kept."""
    world = World()

    def refuse(_head: RequestHead, record: RequestRecord) -> Coroutine[Any, Any, Reply]:
        record.refusal, record.route = "unauthenticated", "private"
        raise Unauthenticated("no_credential")

    with pytest.raises(Unauthenticated):
        await world.run(refuse)

    [server] = world.spans()
    attributes = server.attributes or {}
    assert ("GET private", "unauthenticated", 401) == (
        server.name,
        attributes["error.type"],
        attributes["http.response.status_code"],
    )
    assert {} == world.traces._open


async def test_a_client_that_leaves_at_once_leaves_nothing() -> None:
    """The rest of the stages is closed without a run, as by its connection."""
    world, record = World(), RequestRecord()

    async def inner(_head: RequestHead, _record: RequestRecord) -> Reply:
        raise AssertionError

    rest = world.traces.admit(inner, lambda _: False)(HEAD, record)
    rest.close()
    world.traces.log(lambda *_: None)(HEAD, record, 499, 0, 0.1)
    world.traces.log(lambda *_: None)(None, record, 400, 0, 0.1)
    assert (1, {}) == (len(world.spans()), world.traces._open)


async def test_a_request_to_upgrade_is_a_trace_too() -> None:
    """It is decided about by a head that says what it asks for, and logged by the one it sent."""
    world, record = World(), RequestRecord()

    async def inner(_head: RequestHead, _record: RequestRecord) -> Reply:
        return Reply(204, (), b"")

    await world.traces.admit(inner, lambda _: False)(HEAD._replace(upgrade="websocket"), record)
    world.traces.log(lambda *_: None)(HEAD, record, 101, 0, 0.1)
    [server] = world.spans()
    assert 101 == (server.attributes or {})["http.response.status_code"]
    assert {} == world.traces._open


@pytest.mark.parametrize(
    ("is_trusted", "sent", "joins"),
    [
        pytest.param(True, 1, True, id="trusted"),
        pytest.param(False, 1, False, id="not-trusted"),
        pytest.param(True, 2, False, id="sent-twice"),
        pytest.param(True, 0, False, id="absent"),
    ],
)
async def test_who_names_the_trace(*, is_trusted: bool, sent: int, joins: bool) -> None:
    """A trusted peer, once."""
    field = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    world = World()

    async def inner(_head: RequestHead, _record: RequestRecord) -> Reply:
        return Reply(500, (), b"")

    head = request_head(*[field] * sent, method="ODD", target="/public/x")
    await world.run(inner, head, is_trusted=is_trusted)

    [server] = world.spans()
    assert joins == (server.parent is not None)
    assert ("_OTHER", False) == (server.name, server.status.is_ok)
