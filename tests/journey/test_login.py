"""Who is led to the login page, seen with curl and with sockets."""

import asyncio
import json
from typing import NamedTuple
from urllib.parse import quote

import pytest

from tests.fakes.http import fetch
from tests.fakes.tokens import ALICE, minted
from tests.fakes.world import World
from tests.hostile.redirects import PAYLOADS

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "publishable_key": "pk_live_1",
    "login": "{return_to_hosts: [listed.example]}",
    "more_routes": '  - {name: t, match: {path: "/tokens/*"}, accept: [did-token], upstream: app}',
}

HTML = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
NAVIGATES = "Sec-Fetch-Mode: navigate"
LONGEST_LINK = 8000
"""In characters; a longer head is refused before it is parsed."""
ORIGIN = "Origin: http://localhost"


class Curled(NamedTuple):
    """What curl wrote."""

    status: int
    fields: dict[str, list[str]]
    body: str


async def curl(world: World, path: str, *fields: str, more: tuple[str, ...] = ()) -> Curled:
    """A request as people make it on the command line."""
    process = await asyncio.create_subprocess_exec(
        "curl",
        *("--silent", "--max-time", "30", "--path-as-is"),
        *("--write-out", "%{stderr}%{response_code} %{header_json}"),
        *(part for field in fields for part in ("--header", field)),
        *more,
        world.gateway.url + path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    body, said = await process.communicate()
    assert process.returncode == 0, said
    status, _, rest = said.decode().partition(" ")
    return Curled(int(status), json.loads(rest), body.decode())


@pytest.mark.parametrize("fields", [[NAVIGATES], [HTML]], ids=["fetch-metadata", "accept"])
async def test_a_person_is_led_to_the_login_page(around: World, fields: list[str]) -> None:
    """302 with the way back, the query included; no cache keeps it, and the log says it."""
    answer = await curl(around, "/private/a?x=1&y=%26", *fields)

    assert 302 == answer.status
    where = "/_gateway/login?return_to=/private/a%3Fx%3D1%26y%3D%2526"
    assert [where] == answer.fields["location"]
    assert ["no-store"] == answer.fields["cache-control"]
    assert "Sec-Fetch-Mode" in answer.fields["vary"][0]
    assert [] == around.app.seen
    line = await logged(around, "/private/a")
    assert ("sign_in_first", 302) == (line["refusal"], line["status"])
    assert "unauthenticated: no_credential" == line["reason"]


async def test_head_is_a_navigation_too(around: World) -> None:
    """Link checkers and previews ask with it."""
    answer = await curl(around, "/private", NAVIGATES, more=("--head",))
    assert 302 == answer.status
    assert answer.body.endswith("\r\n\r\n")  # curl writes the head there, and nothing follows


async def test_a_dead_session_leads_to_the_login_page(around: World) -> None:
    """Ended by signing out, or never one at all."""
    cookie = await around.sign_in()
    await fetch(around.port, "DELETE", "/_gateway/session", cookie, ORIGIN)
    for dead in (cookie, "Cookie: session=gone"):
        answer = await around.get("/private", NAVIGATES, dead)
        assert (302, "sign_in_first") == (answer.status, answer.code)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="says-nothing"),
        pytest.param(["Accept: application/json"], id="json"),
        pytest.param(["Sec-Fetch-Mode: cors", HTML], id="fetch"),
        pytest.param(["X-Requested-With: XMLHttpRequest", HTML], id="jquery"),
    ],
)
async def test_a_script_is_told_where_the_login_page_is(around: World, fields: list[str]) -> None:
    """401 with ``login_url``, never a redirect that it could only fail on."""
    answer = await curl(around, "/private", *fields)

    document = json.loads(answer.body)
    assert (401, "unauthenticated") == (answer.status, document["code"])
    assert "http://localhost/_gateway/login" == document["login_url"]
    assert "location" not in answer.fields
    assert ["Bearer"] == answer.fields["www-authenticate"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_only_reading_is_led_elsewhere(around: World, method: str) -> None:
    """What a form has sent would be lost on the way."""
    answer = await fetch(around.port, method, "/private", NAVIGATES, HTML)
    assert (401, []) == (answer.status, answer.values("Location"))


async def test_a_token_is_answered_as_a_token(around: World) -> None:
    """A request with a token is a program's, whatever it accepts."""
    forged = f"Authorization: Bearer {minted(0, ALICE)}"
    answer = await around.get("/private", forged, HTML, NAVIGATES)
    assert (401, "expired_token") == (answer.status, answer.code)


async def test_an_upgrade_is_never_led_elsewhere(around: World) -> None:
    """A WebSocket client cannot follow."""
    asked = (
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", NAVIGATES, HTML),
    )
    answer = await around.get("/private", *asked)
    assert (401, []) == (answer.status, answer.values("Location"))


async def test_the_login_page_never_leads_to_itself(around: World) -> None:
    """Whatever it is asked for, none of the gateway's own answers is a redirect to it."""
    for path in ("/_gateway/login", "/_gateway/session", "/_gateway/logout", "/_gateway/nothing"):
        answer = await around.get(path, NAVIGATES, HTML)
        assert [] == answer.values("Location"), path


async def test_login_redirects_do_not_loop(around: World) -> None:
    """A route that accepts no session refuses, with and without one, instead of redirecting."""
    for fields in ([], [await around.sign_in()]):
        answer = await around.get("/tokens/x", NAVIGATES, HTML, *fields)
        assert (401, []) == (answer.status, answer.values("Location"))


async def test_the_account_page_leads_to_the_login_page(around: World) -> None:
    """The one page of ours to land on; a script is told where to sign in."""
    answer = await around.get("/_gateway/account", NAVIGATES)
    assert ["/_gateway/login?return_to=/_gateway/account"] == answer.values("Location")
    assert 401 == (await around.get("/_gateway/account")).status


@pytest.mark.parametrize("times", [1, 2], ids=["encoded-once", "encoded-twice"])
async def test_no_trick_leads_astray(around: World, times: int) -> None:
    """A signed-in user who follows such a link lands on our own first page (open redirect)."""
    cookie = await around.sign_in()
    for payload in PAYLOADS:
        written = payload
        for _ in range(times):
            written = quote(written, safe="", errors="surrogatepass")
        if len(written) > LONGEST_LINK:
            continue
        answer = await around.get(f"/_gateway/login?return_to={written}", cookie)
        assert (303, ["/"]) == (answer.status, answer.values("Location")), ascii(payload)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("return_to=/x%3Fa%3D1", "/x?a=1", id="a-deep-link"),
        pytest.param("return_to=http://listed.example/x", "http://listed.example/x", id="listed"),
        pytest.param("return_to=/x&return_to=/x", "/", id="twice"),
        pytest.param("return_to=/x&return_to=//evil.example", "/", id="a-good-one-first"),
        pytest.param("return_to=//evil.example;return_to=/x", "/", id="semicolon"),
        pytest.param("return_to=", "/", id="empty"),
    ],
)
async def test_where_it_leads(around: World, query: str, expected: str) -> None:
    """One place of ours, with its query."""
    answer = await around.get(f"/_gateway/login?{query}", await around.sign_in())
    assert [expected] == answer.values("Location")


async def test_public_pages_lead_nowhere(around: World) -> None:
    """Neither public nor optional routes redirect to the login page."""
    for path in ("/public/x", "/optional/x"):
        assert 200 == (await around.get(path, NAVIGATES, "Cookie: session=gone")).status


async def logged(world: World, path: str) -> dict[str, object]:
    """The line of the access log about ``path``."""
    async with asyncio.timeout(20):
        while True:
            for line in world.gateway.log_lines():
                if line["path"] == path:
                    return line
            await asyncio.sleep(0.02)
