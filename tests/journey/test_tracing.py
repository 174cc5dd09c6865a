"""Traces of a real gateway, as a collector gets them over OTLP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.fakes.otlp import Collector, SpanSeen, collecting
from tests.fakes.tokens import BOB
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = f"traceparent: 00-{TRACE}-{PARENT}-01"
SERVER, CLIENT = 2, 3


class Traced(NamedTuple):
    """A world whose gateway exports traces, and where they arrive."""

    around: World
    collector: Collector


def _launcher(url: str, *more: str) -> tuple[str, ...]:
    return ("env", f"OTEL_EXPORTER_OTLP_ENDPOINT={url}", "OTEL_BSP_SCHEDULE_DELAY=20", *more)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def traced(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    """One for all tests: each looks at traces of its own. All peers are trusted proxies."""
    folder = tmp_path_factory.mktemp("traced")
    async with collecting() as (collector, url):
        trusted = {"trusted_proxies": '["127.0.0.0/8"]', "client_ip": "x-forwarded-for"}
        async with world(folder, *_launcher(url), **trusted) as around:
            yield Traced(around, collector)


async def _server_span(traced: Traced, path: str) -> SpanSeen:
    return await traced.collector.one(lambda span: span.attributes.get("url.path") == path)


async def test_a_request_is_a_trace(traced: Traced) -> None:
    """The app, the stages and the calls within them are below it, and the app hears of its span."""
    around, collector = traced
    cookie = await around.sign_in()
    around.forget()

    assert 200 == (await around.get("/traced?secret=1", cookie, SENT)).status

    server = await _server_span(traced, "/traced")
    assert ("gateway", "GET rest", TRACE, PARENT, SERVER, False) == server[:3] + server[4:7]
    assert ("session", 200, "rest", "GET") == tuple(
        server.attributes[name]
        for name in (
            "gateway.auth_method",
            "http.response.status_code",
            "gateway.route",
            "http.request.method",
        )
    )
    below = {span.name: span for span in collector.spans if span.parent == server.span}
    assert {"client address", "route", "limits", "authenticate", "header fields"} <= below.keys()
    app = below["app app"]
    [told] = around.app.seen[0].values("traceparent")
    assert (CLIENT, f"00-{TRACE}-{app.span}-01") == (app.kind, told)
    asked = [span for span in collector.spans if span.parent == below["authenticate"].span]
    assert all(span.name.startswith("store ") for span in asked)


async def test_a_request_to_upgrade_is_a_trace(traced: Traced) -> None:
    """Here one that is ignored; a tunnel ends its trace in the same way."""
    around, _ = traced
    assert 200 == (await around.get("/public/up", "Connection: upgrade", "Upgrade: h2c")).status
    server = await _server_span(traced, "/public/up")
    assert ("GET public", 200) == (server.name, server.attributes["http.response.status_code"])


async def test_magic_and_the_store_are_asked_within_the_trace(traced: Traced) -> None:
    """A bearer token of a new user is looked up in the store and at Magic."""
    around, collector = traced
    assert 200 == (await around.get("/first", around.bearer(BOB))).status
    server = await _server_span(traced, "/first")
    names = {span.name for span in collector.spans if span.trace == server.trace}
    assert {"magic user", "authenticate"} <= names
    assert any(name.startswith("store ") for name in names)


async def test_no_span_holds_a_secret(traced: Traced) -> None:
    """No query, cookie, token, issuer or email address is exported."""
    around, collector = traced
    cookie, bearer = await around.sign_in(), around.bearer()
    for field in (cookie, bearer):
        assert 200 == (await around.get("/secrets?secret=hidden", field)).status
    assert 401 == (await around.get("/after", "Authorization: Bearer nonsense")).status
    await _server_span(traced, "/after")
    for secret in (
        cookie.partition("=")[2],
        bearer.rpartition(" ")[2],
        "hidden",
        "nonsense",
        "did:ethr",
        "alice@example.com",
    ):
        assert secret.encode() not in collector.raw, secret


async def test_a_refusal_is_told(traced: Traced) -> None:
    """With its code and reason; the stage that refused has an error."""
    around, collector = traced
    assert 401 == (await around.get("/refused", "Authorization: Bearer x")).status
    server = await _server_span(traced, "/refused")
    assert (401, "invalid_token") == (
        server.attributes["http.response.status_code"],
        server.attributes["error.type"],
    )
    refused = await collector.one(lambda span: span.parent == server.span and span.is_error)
    assert ("authenticate", "InvalidToken") == (refused.name, refused.attributes["error.type"])


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((SENT, SENT), id="twice"),
        pytest.param(("traceparent: 00-0-0-01",), id="malformed"),
        pytest.param(("tracestate: a=b",), id="state-alone"),
        pytest.param(("Trace_Parent: x", "trace-parent: x"), id="other-names"),
    ],
)
async def test_without_a_context_that_is_sound_a_trace_begins(
    traced: Traced, fields: tuple[str, ...]
) -> None:
    """The app gets one context, ours, with a trace of its own."""
    around, _ = traced
    around.forget()
    assert 200 == (await around.get("/public/x", *fields)).status
    [told] = around.app.seen[0].values("traceparent")
    assert (TRACE not in told, []) == (True, around.app.seen[0].values("tracestate"))


async def test_state_is_passed_on(traced: Traced) -> None:
    """From a trusted peer, with the context that it belongs to."""
    around, _ = traced
    around.forget()
    assert 200 == (await around.get("/public/x", SENT, "tracestate: a=1", "tracestate: b=2")).status
    assert ["a=1,b=2"] == around.app.seen[0].values("tracestate")


async def test_peers_that_are_not_trusted_name_no_trace(tmp_path: Path) -> None:
    """
    A client could otherwise join its requests to the traces of others, or have all sampled.

    What was not exported yet is exported before the end of the process.
    """
    async with collecting() as (collector, url):
        late = ("env", f"OTEL_EXPORTER_OTLP_ENDPOINT={url}", "OTEL_SERVICE_NAME=front")
        async with world(tmp_path, *late, workers="2") as around:
            assert 200 == (await around.get("/public/x", SENT, "tracestate: a=1")).status
            [seen] = around.app.seen
    [server] = [span for span in collector.spans if span.kind == SERVER]
    [told] = seen.values("traceparent")
    assert ("front", "GET public", "") == (*server[:2], server.parent)
    assert (server.trace, []) == (told.split("-")[1], seen.values("tracestate"))
    assert TRACE != server.trace
