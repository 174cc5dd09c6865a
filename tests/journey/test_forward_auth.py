"""A proxy in front asks whether a request may pass, and is told whose it is."""

import asyncio

import jwt
import pytest

from tests.fakes.http import Answer, connected, fetch
from tests.fakes.keys import PEM, as_yaml
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import LONG_S, World
from tests.hostile.test_checks import VERIFY, nginx, traefik
from tests.journey.test_error_pages import NAVIGATES, is_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "trusted_proxies": '["127.0.0.1"]',
    "client_ip": "x-forwarded-for",
    "publishable_key": "pk_live_1",
    "login": "{return_to_hosts: [localhost:8443, wiki.example.com]}",
    "more_identity": (
        f', roles: [{{role: staff, issuers: ["{ALICE.issuer}"]}}],'
        f" assertion: {{bind: request, keys: [{as_yaml(PEM)}]}}"
    ),
    "more_routes": """
  - {name: staff, match: {path: "/staff/*"}, upstream: app, allow: {roles: [staff]}}
  - {name: nothing, match: {path: "/staff/none/*"}, upstream: app, deny: {roles: [staff]}}
""",
}
ORIGIN = "Origin: http://localhost"


async def check(around: World, uri: str, *fields: str, method: str = "GET") -> Answer:
    """What nginx hears."""
    return await around.get(VERIFY, *nginx(uri, method), *fields)


async def test_authenticated_requests_pass(around: World) -> None:
    """With the fields that the app would get, those without a value too, and no app is asked."""
    for credential in (around.bearer(), await around.sign_in()):
        answer = await check(around, "/private", credential)
        assert (200, b"") == (answer.status, answer.body)
        assert ALICE.issuer == answer.value("X-User-Issuer")
        assert "alice@example.com" == answer.value("X-User-Email")
        assert "" == answer.value("X-User-Phone")
        assert "no-store" == answer.value("Cache-Control")
        assert 1 == len(answer.values("X-Request-Id"))
        assert [] == answer.values("Set-Cookie")
    assert [] == around.app.seen


async def test_public_paths_pass_without_an_identity(around: World) -> None:
    """Every identity field is there, and empty."""
    answer = await check(around, "/public/x", around.bearer())
    assert (200, "") == (answer.status, answer.value("X-User-Issuer"))


async def test_refusals(around: World) -> None:
    """Of the same kinds, with the same fields, as the request itself would get."""
    anonymous = await check(around, "/private")
    assert (401, "Bearer") == (anonymous.status, anonymous.value("WWW-Authenticate"))
    cookie = await around.sign_in()
    foreign = await check(around, "/x", cookie, "Origin: http://evil.example", method="POST")
    assert (403, "cross_site") == (foreign.status, foreign.code)
    assert 200 == (await check(around, "/x", cookie, ORIGIN, method="POST")).status
    statuses = [(await check(around, "/tight/x", "X-Forwarded-For: 203.0.113.7")) for _ in range(6)]
    assert [200] * 5 + [429] == [answer.status for answer in statuses]
    assert 1 <= int(statuses[-1].value("Retry-After")) <= LONG_S
    other = await check(around, "/tight/x", "X-Forwarded-For: 203.0.113.8")
    assert 200 == other.status


async def test_a_navigation_is_refused_by_a_page(around: World) -> None:
    """Proxies hand it on to the person; a program asks by the same check, and gets the document."""
    cookie, people = await around.sign_in(), (*NAVIGATES, "Accept-Language: fr")
    for words in (nginx, traefik):
        page = await around.get(VERIFY, *words("/staff/none/x"), *people, cookie)
        assert is_page(page, 403, "Vous n’avez pas accès à cette page.")
        assert "alice@example.com" in page.body.decode()
        assert {"Content-Security-Policy", "Content-Language"} <= {n for n, _ in page.headers}
        program = await around.get(VERIFY, *words("/staff/none/x"), cookie)
        assert (403, "forbidden") == (program.status, program.code)
    assert is_page(
        await check(around, "/a%00b", *NAVIGATES), 400, "This request cannot be understood."
    )
    socket = await check(around, "/a%00b", *NAVIGATES, "Upgrade: websocket", "Connection: upgrade")
    assert (400, "bad_request") == (socket.status, socket.code)


async def test_a_redirect_is_no_page(around: World) -> None:
    """A 401 with a Location tells nginx of it."""
    answer = await check(around, "/private", *NAVIGATES)
    assert (401, "sign_in_by_proxy") == (answer.status, answer.code)


async def test_a_page_on_a_host_without_sessions(around: World) -> None:
    """Signing in would not help there, so it is not offered."""
    fields = (*NAVIGATES, "X-Forwarded-Method: GET", "X-Forwarded-Uri: /a")
    answer = await around.get(VERIFY, *fields, "X-Forwarded-Host: wiki.example.com")
    assert is_page(answer, 401, "You need to sign in to see this page.")
    assert b"/_gateway/login" not in answer.body


@pytest.mark.parametrize(
    ("host", "status", "back"),
    [
        ("localhost", 302, ["http://localhost/_gateway/login?return_to=/a"]),
        (
            "localhost:8443",
            302,
            ["http://localhost/_gateway/login?return_to=http%3A//localhost%3A8443/a"],
        ),
        ("wiki.example.com", 401, []),
    ],
)
async def test_login_redirects_do_not_loop(
    around: World, host: str, status: int, back: list[str]
) -> None:
    """After login the user returns to the host of the cookie; elsewhere it would not be sent."""
    fields = "Sec-Fetch-Mode: navigate", f"X-Forwarded-Host: {host}"
    answer = await around.get(VERIFY, "X-Forwarded-Method: GET", "X-Forwarded-Uri: /a", *fields)
    assert (status, back) == (answer.status, answer.values("Location"))


async def test_a_signed_out_session_does_not_pass(around: World) -> None:
    """Sessions are asked after as ever."""
    cookie = await around.sign_in()
    await fetch(around.port, "POST", "/_gateway/logout", cookie, ORIGIN)
    answer = await check(around, "/private", cookie)
    assert (401, "session_ended") == (answer.status, answer.code)


async def test_checks_of_websockets(around: World) -> None:
    """Also where the proxy leaves the upgrade in: it is no switch, and pages must be ours."""
    cookie = await around.sign_in()
    handshake = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", *handshake)
    for fields in (handshake, upgrade):
        answer = await around.get(VERIFY, *traefik("/private"), cookie, ORIGIN, *fields)
        assert 200 == answer.status
        evil = "Origin: http://evil.example"
        answer = await around.get(VERIFY, *traefik("/private"), cookie, evil, *fields)
        assert (403, "cross_site") == (answer.status, answer.code)


async def test_the_target_may_stand_in_the_check(around: World) -> None:
    """With the method and Host of the check itself."""
    answer = await around.get(f"{VERIFY}/private?x=1", around.bearer())
    assert ALICE.issuer == answer.value("X-User-Issuer")
    cookie = await around.sign_in()
    answer = await fetch(around.port, "POST", f"{VERIFY}/private", cookie)
    assert (403, "cross_site") == (answer.status, answer.code)


async def test_one_connection_carries_many_checks(around: World) -> None:
    """Of different callers: what one was told is not said of the next."""
    lines = "\r\n".join([f"GET {VERIFY} HTTP/1.1", "Host: a", *nginx("/optional/x"), ""])
    async with connected(around.port) as client:
        for fields, issuer in (
            (around.bearer() + "\r\n", ALICE.issuer),
            ("", ""),
            (around.bearer() + "\r\n", ALICE.issuer),
        ):
            await client.send(f"{lines}{fields}\r\n".encode())
            answer = await client.answer()
            assert (200, issuer) == (answer.status, answer.value("X-User-Issuer"))


async def test_the_log_tells_checks_apart(around: World) -> None:
    """The line is about the request that was asked about."""
    answer = await check(around, "/public/marked", method="PUT")
    assert 200 == answer.status
    lines: list[dict[str, object]] = []
    async with asyncio.timeout(20):
        while not lines:
            await asyncio.sleep(0.02)
            lines = [one for one in around.gateway.log_lines() if one["path"] == "/public/marked"]
    assert ("PUT", "public", 200) == (lines[0]["verify"], lines[0]["route"], lines[0]["status"])


async def test_rules_hold_for_checks(around: World) -> None:
    """Roles are found out, rules are asked, and the proxy is told the roles and why not."""
    passed = await check(around, "/staff/x", around.bearer())
    assert (200, "staff") == (passed.status, passed.value("X-User-Roles"))
    refused = await check(around, "/staff/none/x", around.bearer())
    assert (403, "denied") == (refused.status, refused.json()["reason"])
    around.magic.add_user(BOB.issuer, "bob@example.com")
    stranger = await check(around, "/staff/x", around.bearer(BOB))
    assert (403, "role_missing") == (stranger.status, stranger.json()["reason"])


async def test_the_proxy_is_given_what_the_app_can_verify(around: World) -> None:
    """The assertion is about the checked request; the field is empty without an identity."""
    passed = await check(around, "/private?a=1", around.bearer(), method="POST")
    said = jwt.decode(passed.value("X-Gateway-Assertion"), options={"verify_signature": False})
    assert ("app", "POST", "/private") == (said["aud"], said["htm"], said["path"])
    anonymous = await check(around, "/public/x", around.bearer())
    assert "" == anonymous.value("X-Gateway-Assertion")
