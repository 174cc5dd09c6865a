"""Pages of other origins, asked for as browsers ask: real gateway, real sockets, real curl."""

import asyncio

import pytest

from tests.fakes.http import Answer, fetch
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "more_routes": """
  - name: shared
    match: {path: "/shared/*", methods: [POST, GET]}
    limits: []
    upstream: app
    cors: {origins: ["https://shop.example.com"], credentials: true, max_age: 5m}
  - name: counted
    match: {path: "/counted/*"}
    limits: [tight]
    upstream: app
    cors: {origins: ["https://shop.example.com"], credentials: true}
  - name: open
    match: {path: "/open/*"}
    auth: none
    upstream: app
    cors: {origins: ["*"]}
  - name: passed
    match: {path: "/passed/*", methods: [POST]}
    upstream: app
    forward_credentials: true
    cors: {preflight: pass, origins: ["https://shop.example.com"]}
  - name: walled
    match: {path: "/walled/*"}
    upstream: app
    cors: {preflight: pass}
    deny: {networks: [127.0.0.0/8]}
  - name: elsewhere
    match: {path: "/elsewhere/*"}
    upstream: app
    cors: {preflight: pass}
    allow: {networks: [198.18.0.0/15]}
"""
}

SHOP = "https://shop.example.com"
ORIGIN = f"Origin: {SHOP}"
EVIL = "Origin: https://evil.example"
ASKS = "Access-Control-Request-Method: POST"
TALKATIVE = (
    b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: BREW\r\n"
    b"Vary: Accept\r\nContent-Length: 2\r\n\r\nok"
)


def cors(answer: Answer) -> dict[str, str]:
    """What an answer says to browsers, without ``Access-Control-``."""
    prefix = "access-control-"
    return {
        name.lower().removeprefix(prefix): value
        for name, value in answer.headers
        if name.lower().startswith(prefix)
    }


async def preflight(world: World, path: str, *fields: str) -> Answer:
    """What browsers ask first."""
    return await fetch(world.port, "OPTIONS", path, *(fields or (ORIGIN, ASKS)))


async def test_a_preflight_is_answered_here(around: World) -> None:
    """On a route that lists only POST and needs a session; the app hears nothing of it."""
    answer = await preflight(around, "/shared/x", ORIGIN, ASKS, "Access-Control-Request-Headers: a")

    assert (204, b"") == (answer.status, answer.body)
    assert {
        "allow-origin": SHOP,
        "allow-credentials": "true",
        "allow-methods": "GET, HEAD, POST",
        "allow-headers": "Authorization, Content-Type",
        "max-age": "300",
    } == cors(answer)
    assert ["Origin"] == answer.values("Vary")
    assert [] == answer.values("Content-Length")
    assert [] == around.app.seen


async def test_curl_understands_the_answer(around: World) -> None:
    """A 204 has no body for it to wait for, and the connection goes on."""
    url = f"{around.gateway.url}/open/x"
    process = await asyncio.create_subprocess_exec(
        *(
            "curl",
            "--silent",
            "--max-time",
            "10",
            "--write-out",
            "%{response_code} %{num_connects} ",
        ),
        *("-X", "OPTIONS", "-H", EVIL, "-H", ASKS, url, url),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert b"204 1 204 0 " == said


@pytest.mark.parametrize("origin", [EVIL, "Origin: null", f"Origin: {SHOP}.evil.example"])
async def test_a_preflight_of_a_stranger(around: World, origin: str) -> None:
    """Refused, and the log says why."""
    answer = await preflight(around, "/shared/y", origin, ASKS)
    assert (403, "cross_site") == (answer.status, answer.code)
    assert {} == cors(answer)
    async with asyncio.timeout(20):
        while not any(line["reason"] == "preflight_foreign" for line in around.gateway.log_lines()):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        pytest.param([ORIGIN], b"", id="asks-for-no-method"),
        pytest.param([ASKS], b"", id="no-origin"),
        pytest.param([ORIGIN, ASKS], b"x", id="body"),
        pytest.param([ORIGIN, ASKS, "Authorization: Bearer x"], b"", id="token"),
        pytest.param([ORIGIN, ASKS, "Cookie: a=b"], b"", id="cookie"),
        pytest.param([ORIGIN, "Access-Control-Request-Method: TRACE"], b"", id="trace"),
        pytest.param([ORIGIN, "Access-Control-Request-Method: BREW"], b"", id="no-such-route"),
    ],
)
@pytest.mark.parametrize("path", ["/shared/z", "/passed/z", "/walled/z", "/private"])
async def test_what_is_no_preflight_is_no_way_in(
    around: World, path: str, fields: list[str], body: bytes
) -> None:
    """A request like any other: without a session it reaches no app, whatever it looks like."""
    answer = await fetch(around.port, "OPTIONS", path, *fields, body=body)
    assert answer.status in {401, 403, 405}
    assert [] == around.app.seen


async def test_a_route_that_says_nothing(around: World) -> None:
    """Its preflights need a session like all else, so that nothing is open by default."""
    answer = await preflight(around, "/private")
    assert (401, {}) == (answer.status, cors(answer))


async def test_an_app_may_answer_preflights(around: World) -> None:
    """The app answers preflights without an identity, and sees nothing but preflights."""
    around.app.answer("/passed/x", TALKATIVE)
    answer = await preflight(around, "/passed/x")

    (seen,) = around.app.seen
    assert (200, "OPTIONS") == (answer.status, seen.method)
    assert {"allow-origin": "*", "allow-methods": "BREW"} == cors(answer)
    assert [] == seen.values("X-User-Issuer") + seen.values("Cookie")


async def test_a_network_that_may_not_gets_no_preflight_through(around: World) -> None:
    """What a route refuses to an address, it refuses whatever is asked."""
    assert 403 == (await preflight(around, "/walled/x")).status
    assert 403 == (await preflight(around, "/elsewhere/x")).status
    assert [] == around.app.seen


async def test_answers_bear_the_policy_of_the_route(around: World) -> None:
    """In place of what the app says; its own Vary stays."""
    around.app.answer("/open/x", TALKATIVE)
    answer = await fetch(around.port, "GET", "/open/x", EVIL)
    assert {"allow-origin": "*", "expose-headers": "RateLimit, Retry-After, X-Request-Id"} == cors(
        answer
    )
    around.app.answer("/shared/x", TALKATIVE)
    answer = await fetch(around.port, "GET", "/shared/x", around.bearer(), ORIGIN)
    assert (200, SHOP) == (answer.status, cors(answer)["allow-origin"])
    assert ["Accept", "Origin"] == answer.values("Vary")
    answer = await fetch(around.port, "GET", "/shared/x", around.bearer(), EVIL)
    assert (200, {}) == (answer.status, cors(answer))


async def test_repeated_answers_are_told_apart(around: World) -> None:
    """On one connection to the app, what one origin may read is not said to another."""
    around.app.answer("/shared/r", TALKATIVE)
    bearer = around.bearer()
    said = [
        cors(await fetch(around.port, "GET", "/shared/r", bearer, origin)).get("allow-origin")
        for origin in (ORIGIN, EVIL, ORIGIN, "X: y")
    ]
    assert [SHOP, None, SHOP, None] == said


async def test_refusals_bear_it_too(around: World) -> None:
    """A page of another origin can read that it must sign in, and when it may come back."""
    answer = await fetch(around.port, "POST", "/shared/x", ORIGIN, body=b"x")
    assert (401, SHOP) == (answer.status, cors(answer)["allow-origin"])
    statuses = []
    for _ in range(6):
        answer = await fetch(around.port, "POST", "/counted/x", ORIGIN, body=b"x")
        statuses.append(answer.status)
    assert 429 == statuses[-1]
    assert (SHOP, "true") == (cors(answer)["allow-origin"], cors(answer)["allow-credentials"])
    assert "Retry-After" in cors(answer)["expose-headers"]
    answer = await fetch(around.port, "POST", "/shared/x", EVIL, body=b"x")
    assert {} == cors(answer)


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        pytest.param("/shared/x", [ORIGIN, "Sec-Fetch-Site: same-site"], 200, id="listed"),
        pytest.param("/shared/x", ["Origin: http://localhost"], 200, id="our-own"),
        pytest.param("/shared/x", [EVIL], 403, id="a-stranger"),
        pytest.param("/shared/x", ["Sec-Fetch-Site: same-site"], 403, id="says-no-origin"),
        pytest.param("/shared/x", [ORIGIN, EVIL], 403, id="says-two"),
        pytest.param("/passed/x", [ORIGIN], 403, id="listed-without-credentials"),
        pytest.param("/private", [ORIGIN], 403, id="listed-on-another-route"),
    ],
)
async def test_only_listed_pages_act_with_the_session(
    around: World, path: str, fields: list[str], status: int
) -> None:
    """Where the route says so, with credentials; nowhere else."""
    cookie = await around.sign_in()
    answer = await fetch(around.port, "POST", path, cookie, *fields, body=b"x")
    assert status == answer.status
    assert (status == 200) == bool(around.app.seen)


async def test_a_websocket_is_no_matter_of_cors(around: World) -> None:
    """A listed origin opens none with the session: browsers send no preflight for WebSockets."""
    asked = (
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", ORIGIN, await around.sign_in()),
    )
    answer = await fetch(around.port, "GET", "/shared/ws", *asked)
    assert (403, "cross_site") == (answer.status, answer.code)
