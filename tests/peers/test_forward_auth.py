"""Real proxies ask a real gateway, with the configs that the documentation shows."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import h11
import pytest
import pytest_asyncio
import websockets.asyncio.client
from websockets.exceptions import InvalidStatus

from gateway.pipeline.checked_request import checked_request
from gateway.selftest.corpus.paths import HOSTILE_TARGETS as TARGETS
from tests.fakes import upstream
from tests.fakes.fronts import KINDS, Front, front
from tests.fakes.heads import request_head
from tests.fakes.http import Answer, connected, fetch
from tests.fakes.keys import PEM, as_yaml
from tests.fakes.sockets import echoing
from tests.fakes.tokens import ALICE
from tests.fakes.world import LONG_S, World, world
from tests.hostile.test_checks import VERIFY
from tests.journey.test_assertion import verified
from tests.peers.test_http import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAVIGATES = "Sec-Fetch-Mode: navigate"
ORIGIN = "Origin: http://localhost"
NO_ANSWER = 0
REFUSALS = range(400, 600)


class Fronted(NamedTuple):
    """A proxy, and the gateway that it asks."""

    front: Front
    around: World

    async def ask(self, path: str, *fields: str, method: str = "GET", body: bytes = b"") -> Answer:
        """One request to the proxy."""
        return await fetch(self.front.port, method, path, *fields, body=body)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=KINDS)
async def shared(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Fronted]:
    """Each proxy with a gateway of its own, so that each has limits of its own."""
    changes = {
        "trusted_proxies": '["127.0.0.1"]',
        "client_ip": "x-forwarded-for",
        "publishable_key": "pk_live_1",
        "more_identity": (
            f', roles: [{{role: staff, issuers: ["{ALICE.issuer}"]}}],'
            f" assertion: {{keys: [{as_yaml(PEM)}], bind: request}}"
        ),
        "more_routes": """
  - {name: admin, match: {path: "/admin/*"}, allow: {roles: [admin]}, upstream: app}
  - {name: alice, match: {path: "/alice/*"}, allow: {emails: [alice@example.com]}}
  - {name: reading, match: {path: "/reading/*", methods: [GET]}, auth: none, upstream: app}""",
    }
    async with world(tmp_path_factory.mktemp("gateway"), **changes) as around:
        folder = tmp_path_factory.mktemp("front")
        async with front(request.param, around.port, around.app.port, folder) as running:
            yield Fronted(running, around)


@pytest.fixture
def fronted(shared: Fronted) -> Fronted:
    """The module's, as new."""
    shared.around.forget()
    return shared


# --- who passes --------------------------------------------------------------------------------


async def test_authenticated_requests_pass(fronted: Fronted) -> None:
    """By token and by session; the app reads who it is, and the request as it was sent."""
    around = fronted.around
    for credential, method in (
        (around.bearer(), "did-token"),
        (await around.sign_in(), "session"),
    ):
        around.app.seen.clear()
        answer = await fronted.ask("/private/a?x=1&y=%26", credential)
        (seen,) = around.app.seen
        assert (200, b"hello") == (answer.status, answer.body)
        assert ("GET", "/private/a?x=1&y=%26") == (seen.method, seen.target)
        assert [ALICE.issuer] == seen.values("X-User-Issuer")
        assert ["alice@example.com"] == seen.values("X-User-Email")
        assert [method] == seen.values("X-Auth-Method")
        assert ["staff"] == seen.values("X-User-Roles")
        assert seen.values("X-User-Phone") in ([], [""])
        (request_id,) = seen.values("X-Request-Id")
        assert request_id != ""


async def test_the_app_can_verify_it(fronted: Fronted) -> None:
    """By an assertion about the very request that it gets."""
    await fronted.ask("/private/a?x=1", fronted.around.bearer(), method="POST", body=b"x")
    (seen,) = fronted.around.app.seen
    (token,) = seen.values("X-Gateway-Assertion")
    said = await verified(fronted.around, token)
    assert (ALICE.issuer, "POST", "/private/a") == (said["sub"], said["htm"], said["path"])


async def test_public_paths_pass_without_an_identity(fronted: Fronted) -> None:
    """Without an identity, even with a credential."""
    answer = await fronted.ask("/public/x", fronted.around.bearer())
    (seen,) = fronted.around.app.seen
    assert 200 == answer.status
    assert seen.values("X-User-Issuer") in ([], [""])


async def test_a_body_goes_to_the_app(fronted: Fronted) -> None:
    """All of it."""
    body = bytes(range(256)) * 4096
    answer = await fronted.ask("/private", fronted.around.bearer(), method="POST", body=body)
    (seen,) = fronted.around.app.seen
    assert (200, "POST", body) == (answer.status, seen.method, seen.body)


SPOOFED = (
    *("X-User-Issuer", "x-user-issuer", "X-USER-EMAIL", "X-User-Phone", "X-User-Public-Address"),
    *("X-User-Roles", "X-Auth-Method", "X-Gateway-Assertion", "X-Request-Id"),
    *("X_User_Issuer", "X-User_Issuer", "x_user-email", "X.User.Issuer", "X-User.Email"),
    *("X_Auth_Method", "X_Gateway_Assertion", "x_user_roles"),
)


@pytest.mark.parametrize("path", ["/private", "/public/x", "/optional/x"])
async def test_forged_identity_never_arrives(fronted: Fronted, path: str) -> None:
    """Identity fields that the gateway does not set are removed, not passed on."""
    forged = [f"{name}: forged" for name in SPOOFED]
    answer = await fronted.ask(path, fronted.around.bearer(), *forged)
    assert 200 == answer.status
    assert 1 == len(fronted.around.app.seen)
    assert b"forged" not in fronted.around.app.raw


async def test_connection_cannot_strip_the_identity(fronted: Fronted) -> None:
    """``Connection`` names fields of one hop: not those that the gateway answered."""
    fields = (fronted.around.bearer(), "Connection: X-User-Issuer, X-User-Email, close")
    answer = await fronted.ask("/private", *fields)
    (seen,) = fronted.around.app.seen
    assert 200 == answer.status
    assert [ALICE.issuer] == seen.values("X-User-Issuer")


async def test_http_2(fronted: Fronted) -> None:
    """Targets and cookies of HTTP/2 are asked about as those of HTTP/1.1 are."""
    if fronted.front.name == "nginx":
        pytest.skip("the example listens for HTTP/1.1 alone; HTTP/2 wants TLS there")
    cookie = await fronted.around.sign_in()
    url = f"http://localhost:{fronted.front.port}"
    for path, fields, expected in (
        ("/private?x=1", (cookie,), "200"),
        ("/private?x=1", (), "401"),
        ("/public/x", (), "200"),
        ("/public/..;/private", (), "400"),
    ):
        said = await run(
            "curl",
            *("-sS", "--max-time", "30", "--http2-prior-knowledge", "--path-as-is"),
            *("-o", "/dev/null", "-w", "%{http_version} %{http_code}"),
            *(word for field in fields for word in ("-H", field)),
            url + path,
        )
        assert f"2 {expected}".encode() == said
    assert ["/private?x=1", "/public/x"] == [seen.target for seen in fronted.around.app.seen]


@pytest.mark.parametrize(
    "protocols",
    [
        *(["h2c"], ["H2C"], ["HTTP/2.0"], ["TLS/1.0"], ["other"], ["h2c, websocket"]),
        *(["websocket, h2c"], ["h2c", "websocket"], ["websocket", "h2c"]),
    ],
    ids=" + ".join,
)
async def test_nothing_but_a_websocket_is_asked_of_the_app(
    fronted: Fronted, protocols: list[str]
) -> None:
    """Requests within another protocol would bypass the checks (CVE-2026-88008)."""
    fields = (
        *(f"Upgrade: {protocol}" for protocol in protocols),
        *("HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, HTTP2-Settings"),
    )
    status = await status_of(fronted.front.port, "/public/x", *fields)
    reached = [seen.values("Upgrade") for seen in fronted.around.app.seen]
    assert (status == 200) == (reached != [])
    assert all(values in ([], [""], ["websocket"]) for values in reached)


OVERRIDES = (
    *("X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Rewrite-URL"),
    *("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override"),
)


async def test_no_field_makes_another_request_of_it(fronted: Fronted) -> None:
    """Apps that obey these would serve a target that was not checked; they are dropped."""
    for name in OVERRIDES:
        status = await status_of(fronted.front.port, "/public/x", f"{name}: overridden")
        assert status == 200 or status in REFUSALS
    assert b"overridden" not in fronted.around.app.raw


async def test_forged_trailers(fronted: Fronted) -> None:
    """Dropped by all but HAProxy, as the page says."""
    async with connected(fronted.front.port) as client:
        await client.send(
            b"POST /public/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Trailer: X-User-Issuer\r\n\r\n2\r\nok\r\n0\r\nX-User-Issuer: forged\r\n\r\n"
        )
        assert 200 == (await client.answer("POST")).status
    (seen,) = fronted.around.app.seen
    assert seen.values("X-User-Issuer") in ([], [""])
    assert (fronted.front.name == "haproxy") == (b"forged" in fronted.around.app.raw)


# --- who does not ------------------------------------------------------------------------------


async def test_unauthenticated_requests_are_refused(fronted: Fronted) -> None:
    """A program is told 401, and the app hears nothing of it."""
    answer = await fronted.ask("/private")
    assert (401, ["Bearer"]) == (answer.status, answer.values("WWW-Authenticate"))
    answer = await fronted.ask("/private", "Cookie: session=gone")
    assert 401 == answer.status
    assert [] == fronted.around.app.seen


async def test_navigations_are_redirected_to_the_login_page(fronted: Fronted) -> None:
    """And back to where they were."""
    answer = await fronted.ask("/private/a?b=c", NAVIGATES)
    assert 302 == answer.status
    where = "http://localhost/_gateway/login?return_to=/private/a%3Fb%3Dc"
    assert where == answer.value("Location")
    assert [] == fronted.around.app.seen


async def test_a_person_who_is_refused_sees_a_page(fronted: Fronted) -> None:
    """With all that belongs to it, in their language; a program is told as ever."""
    cookie = await fronted.around.sign_in()
    person = (cookie, NAVIGATES, "Accept: text/html,*/*;q=0.8", "Accept-Language: de")
    for method, path, status, title in (
        ("GET", "/admin/x", 403, "Sie dürfen diese Seite nicht sehen."),
        ("POST", "/admin/x", 403, "Sie dürfen diese Seite nicht sehen."),
        ("GET", "/public/..;/private", 400, "Diese Anfrage ist nicht zu verstehen."),
    ):
        answer = await fronted.ask(path, *person, ORIGIN, method=method)
        assert (status, "text/html; charset=utf-8") == (answer.status, answer.value("Content-Type"))
        assert f"<h1>{title}</h1>" in answer.body.decode()
        policy = answer.value("Content-Security-Policy")
        assert "unsafe" not in policy
        assert "de" == answer.value("Content-Language")
        assert "no-store" == answer.value("Cache-Control")
        style = re.search(r'href="(/_gateway/static/[^"]+/pages.css)"', answer.body.decode())
        assert style is not None
        assert 200 == (await fronted.ask(style[1])).status
    assert "alice@example.com" in (await fronted.ask("/admin/x", *person)).body.decode()
    program = await fronted.ask("/admin/x", cookie)
    assert "<h1>Sie dürfen".encode() not in program.body
    assert [] == fronted.around.app.seen


async def test_another_site_is_refused(fronted: Fronted) -> None:
    """A change with a cookie needs a page of ours."""
    cookie = await fronted.around.sign_in()
    for fields in ((), ("Origin: http://evil.example",), ("Sec-Fetch-Site: cross-site",)):
        answer = await fronted.ask("/private", cookie, *fields, method="POST", body=b"x")
        assert 403 == answer.status
    assert [] == fronted.around.app.seen
    answer = await fronted.ask("/private", cookie, ORIGIN, method="POST", body=b"x")
    assert 200 == answer.status


async def test_rules_hold(fronted: Fronted) -> None:
    """Who may not use a route is told 403; a route without upstream is asked about like any."""
    bearer = fronted.around.bearer()
    assert 403 == (await fronted.ask("/admin/x", bearer)).status
    assert 401 == (await fronted.ask("/alice/x")).status
    assert [] == fronted.around.app.seen
    assert 200 == (await fronted.ask("/alice/x", bearer)).status


async def test_a_method_of_no_route_is_not_allowed(fronted: Fronted) -> None:
    """405 with the methods of the path; no broader route takes the request."""
    answer = await fronted.ask("/reading/x", fronted.around.bearer(), method="DELETE")
    assert (405, ["GET, HEAD"]) == (answer.status, answer.values("Allow"))
    assert [] == fronted.around.app.seen
    assert 200 == (await fronted.ask("/reading/x")).status


async def test_limits_hold(fronted: Fronted) -> None:
    """429 with the time to wait, which a page counts; the app saw no more than the limit."""
    answers = [await fronted.ask("/tight/x") for _ in range(6)]
    assert [200] * 5 + [429] == [answer.status for answer in answers]
    assert 1 <= int(answers[-1].value("Retry-After")) <= LONG_S
    page = await fronted.ask("/tight/x", NAVIGATES)
    assert (429, "no-store") == (page.status, page.value("Cache-Control"))
    assert 1 <= int(page.value("Retry-After")) <= LONG_S
    assert f'data-seconds="{page.value("Retry-After")}"' in page.body.decode()
    assert 5 == len(fronted.around.app.seen)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(["X-Original-URI: /public/x"], id="uri"),
        pytest.param(["X-Forwarded-Uri: /public/x"], id="forwarded-uri"),
        pytest.param(["X-Original-Method: OPTIONS", "X-Forwarded-Method: OPTIONS"], id="method"),
        pytest.param(["X-Forwarded-Host: other.example", "X-Original-Host: o.example"], id="host"),
        pytest.param(
            [
                *("X-Original-Method: GET", "X-Original-URI: /public/x"),
                *("X-Original-Host: localhost", "X-Forwarded-Method: GET"),
                *("X-Forwarded-Uri: /public/x", "X-Forwarded-Host: localhost"),
            ],
            id="all-of-it",
        ),
        pytest.param(
            [
                *("X_Original_Method: GET", "X_Original_URI: /public/x"),
                *("X_Original_Host: localhost", "X_Forwarded_Uri: /public/x"),
            ],
            id="underscores",
        ),
        pytest.param(["X-Rewrite-URL: /public/x", "X-Original-URL: /public/x"], id="rewrites"),
        pytest.param(["X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1"], id="address"),
        pytest.param(["User-Agent: GoogleHC/1.0", "X-Health: 1"], id="health-check"),
    ],
)
async def test_no_client_says_what_is_asked_about(fronted: Fronted, fields: list[str]) -> None:
    """Whatever it adds, a private page stays one."""
    answer = await fronted.ask("/private", *fields)
    assert answer.status in REFUSALS
    assert [] == fronted.around.app.seen


async def test_the_checks_are_not_for_clients(fronted: Fronted) -> None:
    """A client that asks for a check itself learns no identity."""
    for path in (VERIFY, f"{VERIFY}/private", f"{VERIFY}/", "/_gateway/%76erify"):
        answer = await fronted.ask(path, fronted.around.bearer())
        assert answer.status in REFUSALS
        assert [] == answer.values("X-User-Issuer")
    assert [] == fronted.around.app.seen


async def test_our_own_pages_are_reached(fronted: Fronted) -> None:
    """A session can be asked for and ended through the proxy."""
    cookie = await fronted.around.sign_in()
    answer = await fronted.ask("/_gateway/session", cookie)
    assert (200, ALICE.issuer) == (answer.status, answer.json()["issuer"])
    answer = await fronted.ask("/_gateway/logout", cookie, ORIGIN, method="POST")
    assert 204 == answer.status
    assert 401 == (await fronted.ask("/private", cookie)).status


async def status_of(port: int, target: str, *fields: str) -> int:
    """What becomes of it; none where the connection is closed without an answer."""
    try:
        return (await fetch(port, "GET", target, *fields)).status
    except (AssertionError, h11.RemoteProtocolError):
        return NO_ANSWER


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
async def test_the_app_sees_what_was_asked_about(fronted: Fronted, target: str) -> None:
    """However a proxy cleans a path: what reaches the app would have passed the gateway itself."""
    status = await status_of(fronted.front.port, target)
    seen = [request.target for request in fronted.around.app.seen]
    assert (status == 200) == (seen != [])
    for reached in seen:
        assert 200 == await status_of(fronted.around.port, reached)


# --- with other ends ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
async def test_without_the_gateway_all_requests_are_refused(name: str, tmp_path: Path) -> None:
    """Not even to public pages."""
    async with upstream.serving() as app, upstream.serving() as gone:
        await gone.stop()
        async with front(name, gone.port, app.port, tmp_path, refused=range(500, 504)) as running:
            paths = ("/private", "/public/x")
            for answer in await asyncio.gather(*(fetch(running.port, "GET", at) for at in paths)):
                assert 500 <= answer.status <= 503
        assert [] == app.seen


@pytest.mark.parametrize("name", KINDS)
async def test_a_check_says_what_it_is_about(name: str, tmp_path: Path) -> None:
    """The method, target and Host of the client, its credentials, and nothing of the body."""
    async with upstream.serving() as app, upstream.serving() as fake:
        fake.answer(VERIFY, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        fake.answer(f"{VERIFY}/private", b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        fields = ("Cookie: a=b", "Authorization: Bearer x", "Origin: http://a", ORIGIN)
        async with front(name, fake.port, app.port, tmp_path) as running:
            fake.forget()
            await fetch(running.port, "POST", "/private?x=%26", *fields[:3], body=b"a body")
        (seen,) = fake.seen
        assert [] == app.seen
    host, *others = seen.values("Host")
    head = request_head(
        *((name, value) for name, value in seen.headers if name.lower() != "host"),
        method=seen.method,
        target=seen.target,
        host=host,
    )
    asked = checked_request(head, VERIFY)
    assert ("POST", "/private?x=%26", "localhost") == (
        asked.method,
        asked.target,
        asked.headers["Host"],
    )
    assert (["a=b"], ["Bearer x"]) == (seen.values("Cookie"), seen.values("Authorization"))
    assert (["http://a"], [], b"") == (seen.values("Origin"), others, seen.body)


@pytest.mark.parametrize("name", KINDS)
async def test_websockets(name: str, tmp_path: Path) -> None:
    """Let in like any request, from a page of ours alone, and then carried by the proxy."""
    changes = {"trusted_proxies": '["127.0.0.1"]', "client_ip": "x-forwarded-for"}
    async with world(tmp_path, **changes) as around, echoing() as app:
        folder = tmp_path / "front"
        folder.mkdir()
        async with front(name, around.port, app, folder) as running:
            at = f"ws://localhost:{running.port}/private"
            cookie = (await around.sign_in()).removeprefix("Cookie: ")
            connect = websockets.asyncio.client.connect

            async def said(**fields: str) -> str | bytes:
                async with connect(at, additional_headers=fields, proxy=None) as socket:
                    await socket.send("hello")
                    return await socket.recv()

            assert "hello" == await said(Cookie=cookie, Origin="http://localhost")
            for fields, status in (
                ({}, 401),
                ({"Cookie": cookie}, 403),
                ({"Cookie": cookie, "Origin": "http://evil.example"}, 403),
            ):
                with pytest.raises(InvalidStatus) as refused:
                    await said(**fields)
                assert status == refused.value.response.status_code
