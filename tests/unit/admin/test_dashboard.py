"""The dashboard, asked over a socket."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin import dashboard as module
from gateway.admin.access import AdminAccess
from gateway.admin.access_control import AccessControl
from gateway.admin.assets import assets
from gateway.admin.dashboard import Dashboard
from gateway.admin.feed import Feed
from gateway.admin.guesses import MAX_WRONG
from gateway.admin.status import Status
from gateway.config.server import AdminSettings
from tests.fakes.admin import Deeds, Source, listening
from tests.fakes.http import Answer, connected, fetch

TOKEN = "a token for tests that is long enough"
FORM = "Content-Type: application/x-www-form-urlencoded"
JSON = "Content-Type: application/json"
EVENTS = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def _serving(**more: object) -> AsyncIterator[int]:
    settings = AdminSettings.model_validate({"listen": "127.0.0.1:0", **more})
    async with listening(settings, Source(), Deeds()) as port:
        yield port


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async for each in _serving():
        yield each


@pytest.fixture
async def guarded_port() -> AsyncIterator[int]:
    async for each in _serving(token=TOKEN):
        yield each


async def _event(port: int, *fields: str) -> bytes:
    """What comes first of the events."""
    async with connected(port) as client:
        lines = ("GET /api/events HTTP/1.1", "Host: localhost", *fields, "", "")
        await client.send("\r\n".join(lines).encode())
        head = await client.reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            return head
        return head + await client.reader.readuntil(b"event: figures\n")


async def test_the_page_and_its_files(port: int) -> None:
    """The page may run nothing but its own files, in no frame; they are kept for good."""
    page = await fetch(port, "GET", "/")
    assert 200 == page.status
    policy = page.value("Content-Security-Policy")
    for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert "no-store" == page.value("Cache-Control")
    path = f"/assets/{assets().version}/dashboard.js"
    assert path.removeprefix("/").encode() in page.body
    script = await fetch(port, "GET", path)
    assert (200, "text/javascript; charset=utf-8") == (script.status, script.value("Content-Type"))
    assert "immutable" in script.value("Cache-Control")
    assert 404 == (await fetch(port, "GET", "/assets/0/dashboard.js")).status
    assert (
        404 == (await fetch(port, "GET", path.replace("dashboard.js", "vendor/uplot.json"))).status
    )


async def test_events_are_sent(port: int) -> None:
    """They begin at once, and are stored nowhere; the first says which page belongs to them."""
    sent = await _event(port)
    assert f'"version":"{assets().version}"'.encode() in sent
    assert b"Content-Type: text/event-stream" in sent
    assert b"event: hello\n" in sent


async def test_events_have_no_head_alone(port: int) -> None:
    """The answer to HEAD has no body (RFC 9110 section 9.3.2), and events are nothing else."""
    assert 405 == (await fetch(port, "HEAD", "/api/events")).status
    for path in ("/", f"/assets/{assets().version}/dashboard.js"):
        head = await fetch(port, "HEAD", path)
        assert (200, b"") == (head.status, head.body)


@pytest.mark.parametrize(
    "field",
    [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: http://evil.example",
        "Referer: http://evil.example/",
    ],
)
async def test_other_pages_are_refused(port: int, field: str) -> None:
    """Another site can neither read the figures nor do anything; a link to the page is allowed."""
    assert b" 403 " in (await _event(port, field)).partition(b"\r\n")[0]
    answer = await fetch(port, "POST", "/api/revocations", field, JSON, body=b'{"issuer": "x"}')
    assert 403 == answer.status
    expected = 403 if field.startswith("Origin") else 200
    assert expected == (await fetch(port, "GET", "/", field)).status


async def _as_host(port: int, path: str, host: str) -> Answer:
    async with connected(port) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return await client.answer("GET")


async def test_a_foreign_host_is_refused(port: int) -> None:
    """DNS rebinding: a page of such a name could read all."""
    for path in ("/", "/api/events"):
        assert 403 == (await _as_host(port, path, "rebound.example")).status
    assert 200 == (await _as_host(port, "/", "127.0.0.1:9090")).status


async def test_with_a_token_nothing_is_told_without_it(guarded_port: int) -> None:
    """The page asks for it; events and the API refuse. Probes and metrics need none."""
    page = await fetch(guarded_port, "GET", "/")
    assert (401, True) == (page.status, b'name="token"' in page.body)
    assert b" 401 " in (await _event(guarded_port)).partition(b"\r\n")[0]
    revoke = (guarded_port, "POST", "/api/revocations", JSON)
    body = b'{"issuer": "did:ethr:0xAd"}'
    assert 401 == (await fetch(*revoke, body=body)).status
    assert 401 == (await fetch(guarded_port, "POST", "/api/explain", JSON, body=b"{}")).status
    for path in ("/healthz", "/readyz", "/metrics"):
        assert 200 == (await fetch(guarded_port, "GET", path)).status

    bearer = f"Authorization: Bearer {TOKEN}"
    assert 200 == (await fetch(*revoke, bearer, body=body)).status
    assert b"event: hello" in await _event(guarded_port, bearer)


async def test_a_browser_signs_in_with_the_token(guarded_port: int) -> None:
    """It keeps a cookie that no script reads and no other site sends."""
    sign_in = (guarded_port, "POST", "/sign-in", FORM)
    wrong = await fetch(*sign_in, body=b"token=wrong")
    assert (401, True) == (wrong.status, b"That is not the token." in wrong.body)
    assert not wrong.values("Set-Cookie")
    body = f"token={TOKEN.replace(' ', '+')}".encode()
    assert 403 == (await fetch(*sign_in, "Origin: http://evil.example", body=body)).status
    done = await fetch(*sign_in, body=body)
    assert (303, "./") == (done.status, done.value("Location"))
    cookie = done.value("Set-Cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    field = "Cookie: " + cookie.partition(";")[0]
    assert b"dashboard.js" in (await fetch(guarded_port, "GET", "/", field)).body
    assert b"event: hello" in await _event(guarded_port, field)

    out = await fetch(guarded_port, "POST", "/sign-out", field)
    assert 303 == out.status
    assert "Max-Age=0" in out.value("Set-Cookie")


async def test_read_only_changes_nothing() -> None:
    """It explains and shows; revoking and promoting are refused."""
    async for port in _serving(read_only=True):
        body = b'{"issuer": "did:ethr:0xAd"}'
        for path in ("/api/revocations", "/api/promote"):
            assert 403 == (await fetch(port, "POST", path, JSON, body=body)).status
        assert 200 == (await fetch(port, "POST", "/api/explain", JSON, body=b'{"url": "/"}')).status


async def test_every_route_needs_the_token_but_those_that_are_named() -> None:
    """A route that is added later is guarded, too."""
    access = AdminAccess(frozenset({"localhost"}), TOKEN)
    control = AccessControl(lambda: access)
    dashboard = Dashboard(Feed(Source()), control)
    app = web.Application(middlewares=[control.guarded])

    async def added(_: web.Request) -> web.Response:
        return web.Response(text="told")

    app.add_routes([*dashboard.routes(), *dashboard.sign_in_routes(), web.get("/added", added)])
    async with TestClient(TestServer(app)) as client:
        for path in ("/added", "/%61dded", "/api/events", "/sign-out"):
            method = "POST" if path == "/sign-out" else "GET"
            async with client.request(method, path) as answer:
                assert 401 == answer.status, path
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with client.get("/added", headers=bearer) as answer:
            assert "told" == await answer.text()
        async with client.get("/nothing") as answer:
            assert 404 == answer.status


async def test_a_page_that_stops_reading_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its connection, which would hold what was not read; another page can be opened."""
    monkeypatch.setattr(module, "_STUCK_S", 0.05)
    source = Source()
    source.status = Status(True, "ok", "ok", audit="x" * 1_000_000)
    feed = Feed(source, period_s=0.001)
    control = AccessControl(lambda: AdminAccess(frozenset({"localhost"})))
    app = web.Application(middlewares=[control.guarded])
    app.add_routes(Dashboard(feed, control).routes())
    async with TestServer(app) as server:
        assert server.port is not None
        assert server.runner is not None
        listener = server.runner.server
        assert listener is not None
        async with connected(server.port) as stops:
            await stops.send(EVENTS)
            await stops.reader.readuntil(b"event: hello")
            stops.writer.transport.pause_reading()  # type: ignore[attr-defined]
            async with asyncio.timeout(20):
                while listener.connections:
                    await asyncio.sleep(0.001)
        assert not feed._pages
        monkeypatch.setattr(module, "_STUCK_S", 60)
        async with connected(server.port) as reads:
            await reads.send(EVENTS)
            await reads.reader.readuntil(b"event: figures")


async def _events_of(control: AccessControl, route_s: float = 300.0, **fields: str) -> bytes:
    """All events, until the gateway ends them."""
    dashboard = Dashboard(Feed(Source(), period_s=0.001), control, route_s)
    app = web.Application(middlewares=[control.guarded])
    app.add_routes(dashboard.routes())
    async with (
        TestClient(TestServer(app)) as client,
        client.get("/api/events", headers=fields) as answer,
    ):
        return await answer.read()


async def test_events_end_with_the_token_that_they_were_asked_with() -> None:
    """A page that was open when it was replaced sees no more figures."""
    said = iter([TOKEN, TOKEN, TOKEN, TOKEN])

    def access() -> AdminAccess:
        return AdminAccess(frozenset({"localhost"}), next(said, "another token"))

    sent = await _events_of(AccessControl(access), Authorization=f"Bearer {TOKEN}")
    assert b"event: hello" in sent


@pytest.mark.parametrize("step", [1, -1], ids=["in-time", "clock-set-back"])
async def test_a_person_is_sent_events_for_some_minutes(step: int) -> None:
    """Then the page asks again, and the pipeline decides again; on the listener they go on."""
    times = count(1_800_000_000, step)
    control = AccessControl(lambda: AdminAccess(is_route=True), lambda: float(next(times)))
    person = '{"user": {"issuer": "did:ethr:0xA", "email": "ada@example.com"}}'
    sent = await _events_of(control, 10.0, **{"X-Gateway-Identity": person})
    assert b'"email":"ada@example.com"' in sent
    assert (1 if step > 0 else 0) <= sent.count(b"event: figures") < 10


@pytest.mark.parametrize("is_route", [True, False])
async def test_events_by_the_route_end_when_the_gateway_drains(*, is_route: bool) -> None:
    """It waits for what its clients have asked for; on the listener they go on to the end."""
    source = Source()
    control = AccessControl(lambda: AdminAccess(frozenset({"localhost"}), is_route=is_route))
    feed = Feed(source, period_s=0.001)
    app = web.Application(middlewares=[control.guarded])
    app.add_routes(Dashboard(feed, control).routes())
    person = '{"user": {"issuer": "did:ethr:0xA", "email": ""}}'
    async with (
        TestClient(TestServer(app)) as client,
        client.get("/api/events", headers={"X-Gateway-Identity": person}) as answer,
        asyncio.timeout(20),
    ):
        await answer.content.readuntil(b"event: figures")
        source.status = Status(False, "draining", "ok")
        if is_route:
            assert 1 == (await answer.read()).count(b'"status":"draining"')
        else:
            await answer.content.readuntil(b'"status":"draining"')
            await answer.content.readuntil(b'"status":"draining"')
        feed.close()


async def test_a_form_may_come_in_pieces(guarded_port: int) -> None:
    """The token is read when all of it is there."""
    body = f"token={TOKEN.replace(' ', '+')}".encode()
    lines = ("POST /sign-in HTTP/1.1", "Host: localhost", FORM, f"Content-Length: {len(body)}")
    async with connected(guarded_port) as client:
        await client.send("\r\n".join([*lines, "", ""]).encode() + body[:12])
        for _ in range(3):  # the server has read what came
            await fetch(guarded_port, "GET", "/healthz")
        await client.send(body[12:])
        assert 303 == (await client.answer("POST")).status


HTML = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"


async def test_a_browser_is_told_in_plain_words_why_nothing_is_shown(port: int) -> None:
    """Programs get the problem document."""
    proxied = "Via: 1.1 proxy"
    page = await fetch(port, "GET", "/", HTML, proxied)
    assert (403, "text/html; charset=utf-8") == (page.status, page.value("Content-Type"))
    assert b"Without admin.token, it answers this machine alone." in page.body
    assert "frame-ancestors 'none'" in page.value("Content-Security-Policy")
    problem = await fetch(port, "GET", "/", proxied)
    assert (403, "application/problem+json") == (problem.status, problem.value("Content-Type"))


async def test_a_browser_that_guesses_is_told_to_wait(guarded_port: int) -> None:
    """As a page, and as a problem; the form takes the right token all the same."""
    for _ in range(MAX_WRONG):
        wrong = await fetch(guarded_port, "POST", "/sign-in", FORM, HTML, body=b"token=wrong")
        assert 401 == wrong.status
    for fields in ((FORM, HTML), (FORM,)):
        told = await fetch(guarded_port, "POST", "/sign-in", *fields, body=b"token=wrong")
        assert (429, True) == (told.status, 0 < int(told.value("Retry-After")) <= 60)
        assert (HTML in fields) == (b"Too many wrong tokens" in told.body)
    right = f"token={TOKEN.replace(' ', '+')}".encode()
    answer = await fetch(guarded_port, "POST", "/sign-in", FORM, HTML, body=right)
    assert (303, True) == (answer.status, bool(answer.value("Set-Cookie")))
