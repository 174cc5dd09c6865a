"""What a browser shows where the gateway itself answers, each from its cause, as bytes."""

import asyncio

import orjson
import pytest

from tests.fakes.http import Answer, connected, fetch
from tests.fakes.upstream import Seen
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "publishable_key": "pk_test_0123456789",
    "max": "{body: 1KiB}",
    "login": "{name: Acme}",
    "more_upstreams": '  gone: {servers: ["http://127.0.0.1:1"]}',
    "more_routes": """
  - {name: gone, match: {path: "/gone"}, auth: none, upstream: gone}
  - {name: slow, match: {path: "/slow"}, auth: none, upstream: app, timeouts: {response: 300ms}}
  - {name: keys, match: {path: "/keys"}, accept: [api-key], upstream: app}
  - {name: staff, match: {path: "/staff"}, allow: [{roles: [staff]}], upstream: app}
""",
    "more": "credentials: {api_keys: {}}",
}
NAVIGATES = ("Sec-Fetch-Mode: navigate", "Accept: text/html,*/*;q=0.8")
"""As browsers send."""


def is_page(answer: Answer, status: int, title: str) -> bool:
    """Whether the answer is a page with ``title`` that names the request."""
    assert (status, "text/html; charset=utf-8") == (answer.status, answer.value("Content-Type"))
    assert f"<h1>{title}</h1>" in answer.body.decode()
    assert f"<code>{answer.value('X-Request-Id')}</code>" in answer.body.decode()
    assert str(len(answer.body)) == answer.value("Content-Length")
    return answer.body.endswith(b"</html>") and "no-store" == answer.value("Cache-Control")


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/a%00b", 400, "This request cannot be understood."),
        ("GET", "/keys", 401, "You need to sign in to see this page."),
        ("GET", "/_gateway/nothing", 404, "There is no page at this address."),
        ("DELETE", "/_gateway/login", 405, "This request could not be carried out."),
        ("GET", "/gone", 502, "The application does not answer as it should."),
    ],
)
async def test_a_navigation_gets_a_page(
    around: World, method: str, path: str, status: int, title: str
) -> None:
    """A program gets the problem document for the same, and both are told apart by caches."""
    page = await fetch(around.port, method, path, *NAVIGATES)
    assert is_page(page, status, title)
    program = await fetch(around.port, method, path, "Accept: application/json")
    assert "application/problem+json" == program.value("Content-Type")
    assert status == program.status == orjson.loads(program.body)["status"]
    assert page.value("Vary") == program.value("Vary")
    assert {"Accept", "Accept-Language"} <= set(page.value("Vary").split(", "))


async def test_a_form_that_is_too_large(around: World) -> None:
    """Its answer is shown to a person, too."""
    answer = await fetch(around.port, "POST", "/public/x", *NAVIGATES, body=b"x" * 2000)
    assert is_page(answer, 413, "What you sent is too large.")


async def test_an_app_that_is_slow(around: World) -> None:
    """It did not begin its answer in time."""

    async def silent(_: Seen, __: asyncio.StreamWriter) -> None:
        """Keep the connection, and say nothing."""

    around.app.answers["/slow"] = silent
    answer = await around.get("/slow", *NAVIGATES)
    assert is_page(answer, 504, "The application took too long to answer.")


async def test_a_limit_that_is_used_up(around: World) -> None:
    """The page counts the seconds that the field says."""
    answer = await around.get("/tight/x", *NAVIGATES)
    while answer.status == 200:
        answer = await around.get("/tight/x", *NAVIGATES, "Accept-Language: de")
    assert is_page(answer, 429, "Sie haben zu viele Anfragen gesendet.")
    assert f'data-seconds="{answer.value("Retry-After")}"' in answer.body.decode()
    assert answer.value("RateLimit").startswith('"tight";r=0;')


async def test_a_person_without_the_role(around: World) -> None:
    """They see who they are, and can be another one."""
    answer = await around.get("/staff", *NAVIGATES, await around.sign_in())
    assert is_page(answer, 403, "You may not see this page.")
    assert b"You are signed in as alice@example.com." in answer.body
    assert b"role" not in answer.body.replace(b'role="', b"")
    token = await around.get("/staff", "Accept: text/html", around.bearer())
    assert "application/problem+json" == token.value("Content-Type")


async def test_a_store_that_is_down(around: World) -> None:
    """Whether the session lives is unknown, so the person waits."""
    cookie = await around.sign_in()
    around.store.pause()
    try:
        answer = await around.get("/optional/x", *NAVIGATES, cookie)
    finally:
        around.store.resume()
    assert is_page(answer, 503, "This site cannot answer right now.")
    assert f'data-seconds="{answer.value("Retry-After")}"' in answer.body.decode()


async def test_a_visitor_chooses_the_language(around: World) -> None:
    """The link leads back, and the cookie decides from then on."""
    switched = await around.get(
        "/_gateway/language?to=ja", *NAVIGATES, "Referer: http://localhost/public/a?b"
    )
    assert (303, "/public/a?b") == (switched.status, switched.value("Location"))
    cookie = "Cookie: " + switched.value("Set-Cookie").partition(";")[0]
    answer = await around.get("/_gateway/nothing", *NAVIGATES, cookie, "Accept-Language: de")
    assert is_page(answer, 404, "このアドレスにページはありません。")


@pytest.mark.parametrize(
    ("path", "status"), [("/keys", 401), ("/_gateway/nothing", 404), ("/gone", 502)]
)
async def test_a_head_says_what_a_get_would(around: World, path: str, status: int) -> None:
    """All fields of the page, its length too, and no body."""
    page = await fetch(around.port, "GET", path, *NAVIGATES)
    head = await fetch(around.port, "HEAD", path, *NAVIGATES)
    assert (status, b"") == (head.status, head.body)
    own = {"Date", "X-Request-Id", "Retry-After"}
    fields = [[line for line in each.headers if line[0] not in own] for each in (page, head)]
    assert sorted(fields[0]) == sorted(fields[1])
    assert str(len(page.body)) == head.value("Content-Length")


@pytest.mark.parametrize("path", ["/keys", "/_gateway/nothing"])
async def test_a_page_is_never_not_modified(around: World, path: str) -> None:
    """Conditions are of what is there, and a refusal is not (RFC 9110 section 13.2.1)."""
    conditions = ("If-None-Match: *", "If-Modified-Since: Mon, 30 Nov 2099 00:00:00 GMT")
    page = await fetch(around.port, "GET", path, *NAVIGATES, *conditions, "Range: bytes=0-9")
    assert page.status in (401, 404)
    assert page.body.endswith(b"</html>")
    assert {"ETag", "Last-Modified", "Set-Cookie"}.isdisjoint({name for name, _ in page.headers})


@pytest.mark.parametrize("path", ["/keys", "/_gateway/nothing"])
async def test_an_old_browser_gets_a_page(around: World, path: str) -> None:
    """HTTP/1.0 has no chunks: the length says where the page ends, and the connection closes."""
    async with connected(around.port) as client:
        await client.send(f"GET {path} HTTP/1.0\r\nAccept: text/html\r\n\r\n".encode())
        octets = await client.reader.read()
    head, _, body = octets.partition(b"\r\n\r\n")
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
    assert b"\r\nConnection: close" in head
    assert b"Transfer-Encoding" not in head
    assert body.endswith(b"</html>")


@pytest.mark.parametrize(
    ("accepted", "is_html"),
    [
        ("text/html", True),
        ("*/*", False),
        ("text/html;q=0, */*", False),
        ("text/html;q=0.4, application/json", False),
        ("application/json;q=0.4, text/html", True),
    ],
)
async def test_who_sends_no_mode_is_told_by_what_it_accepts(
    around: World, accepted: str, is_html: bool
) -> None:
    """With its weights (RFC 9110 section 12.5.1), for refusals by the pages too."""
    for path in ("/keys", "/_gateway/nothing"):
        answer = await around.get(path, f"Accept: {accepted}")
        assert is_html == answer.value("Content-Type").startswith("text/html")


@pytest.mark.parametrize(
    ("lines", "status", "title"),
    [
        pytest.param(
            [
                "GET / HTTP/1.1",
                "Host: localhost",
                *(f"Cookie: c{n}={'x' * 4000}" for n in range(20)),
            ],
            431,
            "Ihr Browser hat zu viel auf einmal gesendet.",
            id="too-many-cookies",
        ),
        pytest.param(
            ["GET / HTTP/1.1", "Host: localhost", f"Cookie: a={'x' * 80_000}"],
            431,
            "Ihr Browser hat zu viel auf einmal gesendet.",
            id="a-long-cookie",
        ),
        pytest.param(
            ["GET / HTTP/1.1", "Host : localhost"],
            400,
            "Diese Anfrage ist nicht zu verstehen.",
            id="no-request",
        ),
    ],
)
@pytest.mark.parametrize("is_split", [False, True])
async def test_a_head_that_is_not_parsed(
    around: World, lines: list[str], status: int, title: str, is_split: bool
) -> None:
    """The fields that it has say who waits for the answer; browsers send too many cookies."""
    first, *rest = lines
    for fields, is_person in ((NAVIGATES, True), (("Accept: application/json",), False)):
        head = "\r\n".join([first, *fields, "Accept-Language: de", *rest, "", ""]).encode()
        async with connected(around.port) as client:
            for part in (head[:60], head[60:]) if is_split else (head,):
                await client.send(part)
                await asyncio.sleep(0)
            answer = await client.answer()
        if is_person:
            assert is_page(answer, status, title)
        else:
            assert "application/problem+json" == answer.value("Content-Type")
            assert status == answer.status


async def test_pages_of_an_app_pass_as_they_are(around: World) -> None:
    """What the app answers is the app's."""
    around.app.answer("/public/x", b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nmine")
    answer = await around.get("/public/x", *NAVIGATES)
    assert (503, b"mine") == (answer.status, answer.body)
