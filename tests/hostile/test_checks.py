"""What a proxy in front may ask, to a real gateway: no more gets through than by asking for it."""

import asyncio

import pytest

from gateway.selftest.corpus.paths import HOSTILE_TARGETS
from tests.fakes.http import Answer, connected
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "trusted_proxies": '["127.0.0.1"]',
    "client_ip": "x-forwarded-for",
    "more_routes": """
  - {name: asked, match: {host: asked.example, path: "/*"}, auth: none}
  - {name: any, match: {path: "/any/*", methods: any}, auth: none}
  - {name: reading, match: {path: "/reading/*", methods: [GET]}, auth: none}
  - {name: socket, match: {path: "/socket"}, auth: none, upgrades: [websocket]}
  - {name: none, match: {path: "/none/*"}, auth: none, upgrades: []}""",
}
"""127.0.0.1 is a trusted proxy; other addresses of the loopback are clients."""

VERIFY = "/_gateway/verify"


async def ask(around: World, target: str, *fields: str, method: str = "GET") -> Answer:
    """One request with these field lines after Host."""
    return await sent(around, f"{method} {target} HTTP/1.1", "Host: localhost", *fields)


async def sent(around: World, *lines: str, source: str = "127.0.0.1") -> Answer:
    """A head of these lines, from an address of loopback."""
    async with connected(around.port, source=source) as client:
        await client.send("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass"))
        return await client.answer(lines[0].partition(" ")[0])


def verdict(answer: Answer) -> tuple[int, str]:
    """Status, and code where it is a refusal."""
    is_problem = answer.values("Content-Type") == ["application/problem+json"]
    return answer.status, answer.code if is_problem else ""


def nginx(uri: str, method: str = "GET", host: str = "localhost") -> list[str]:
    """As nginx asks."""
    return [f"X-Original-Method: {method}", f"X-Original-URI: {uri}", f"X-Original-Host: {host}"]


def traefik(uri: str, method: str = "GET", host: str = "localhost") -> list[str]:
    """As Traefik and Caddy ask."""
    return [f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {uri}", f"X-Forwarded-Host: {host}"]


@pytest.mark.parametrize("words", [nginx, traefik], ids=["x-original", "x-forwarded"])
@pytest.mark.parametrize("target", HOSTILE_TARGETS, ids=lambda target: target[:40])
async def test_a_check_says_what_the_request_would_hear(
    target: str, words: object, around: World
) -> None:
    """The verdict of a check is that on the request; what no parser takes, no check lets pass."""
    assert callable(words)
    direct, check = await asyncio.gather(ask(around, target), ask(around, VERIFY, *words(target)))
    if direct.status == 200:
        assert (200, "") == verdict(check)
    else:
        assert check.status >= 400
    if direct.status not in (200, 400):
        assert verdict(direct) == verdict(check)


@pytest.mark.parametrize(
    "target", [t for t in HOSTILE_TARGETS if t.startswith("/")], ids=lambda t: t[:40]
)
async def test_a_check_by_path_says_it_too(target: str, around: World) -> None:
    """Envoy puts the target behind the place of checks: nothing in it climbs out."""
    direct, check = await asyncio.gather(ask(around, target), ask(around, VERIFY + target))
    assert (direct.status == 200) == (check.status == 200)
    assert check.status in (200, direct.status, 400, 404)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], (400, "bad_original"), id="nothing"),
        pytest.param(nginx("/public/x")[1:], (400, "bad_original"), id="no-method"),
        pytest.param(nginx("/public/x")[:2], (400, "bad_original"), id="no-host"),
        pytest.param(
            [*nginx("/private"), *traefik("/public/x")], (400, "bad_original"), id="two-that-differ"
        ),
        pytest.param(
            [*traefik("/private"), "X-Original-URI: /public/x"],
            (400, "bad_original"),
            id="a-client-that-adds-one",
        ),
        pytest.param(
            [*traefik("/private"), "X-Forwarded-Uri: /public/x"], (400, "bad_original"), id="twice"
        ),
        pytest.param(
            [*traefik("/private"), "X-Original-URL: http://localhost/public/x"],
            (401, "unauthenticated"),
            id="an-unknown-field",
        ),
        pytest.param(
            [*traefik("/private"), "X_Forwarded_Uri: /public/x", "X-Forwarded_Uri: /public/x"],
            (401, "unauthenticated"),
            id="underscores",
        ),
        pytest.param(
            [*traefik("/private"), "X-Rewrite-URL: /public/x", "X-HTTP-Method-Override: GET"],
            (401, "unauthenticated"),
            id="overrides",
        ),
        pytest.param(nginx("/public/x", "get"), (400, "bad_original"), id="method-in-lower-case"),
        pytest.param(nginx("/public/x", "G T"), (400, "bad_original"), id="no-method-at-all"),
        pytest.param(nginx("/public/x", "CONNECT"), (501, "unsupported_method"), id="connect"),
        pytest.param(nginx("/public/x", "TRACE"), (501, "unsupported_method"), id="trace"),
        pytest.param(nginx("/public/x", host=""), (400, "bad_host"), id="empty-host"),
        pytest.param(nginx("/x", host="asked.example"), (200, ""), id="a-route-for-checks-alone"),
        pytest.param(
            nginx("/x", host="asked.example, localhost"), (400, "bad_host"), id="two-hosts"
        ),
        pytest.param(nginx("/x", host="asked.example@localhost"), (400, "bad_host"), id="userinfo"),
        pytest.param(nginx("/x", host="asked.example.evil"), (401, "unauthenticated"), id="suffix"),
        pytest.param(nginx("/x", host="ASKED.example.:80"), (200, ""), id="the-same-host"),
        pytest.param(nginx("/_gateway/session"), (404, "no_route"), id="our-own-page"),
        pytest.param(nginx("/_gateway/login"), (404, "no_route"), id="our-own-public-page"),
        pytest.param(nginx(VERIFY), (404, "no_route"), id="itself"),
    ],
)
async def test_no_account_but_a_clear_one(
    fields: list[str], expected: tuple[int, str], around: World
) -> None:
    """What is missing, repeated or contradicted is refused: there is nothing to fall back to."""
    assert expected == verdict(await ask(around, VERIFY, *fields))
    assert [] == around.app.seen


TO_H2 = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"]
UNSUPPORTED_UPGRADE = (501, "unsupported_upgrade")


@pytest.mark.parametrize("words", [nginx, traefik], ids=["x-original", "x-forwarded"])
@pytest.mark.parametrize(
    ("uri", "fields", "expected"),
    [
        pytest.param("/public/x", TO_H2, UNSUPPORTED_UPGRADE, id="h2c"),
        pytest.param("/socket", TO_H2, UNSUPPORTED_UPGRADE, id="h2c-where-another-is-listed"),
        pytest.param("/public/x", ["Upgrade: h2c"], UNSUPPORTED_UPGRADE, id="without-connection"),
        pytest.param("/socket", ["Upgrade: websocket, h2c"], UNSUPPORTED_UPGRADE, id="a-list"),
        pytest.param(
            "/socket", ["Upgrade: h2c", "Upgrade: websocket"], UNSUPPORTED_UPGRADE, id="2"
        ),
        pytest.param("/socket", ["Upgrade: WebSocket"], (200, ""), id="one-that-is-listed"),
        pytest.param("/none/x", ["Upgrade: websocket"], UNSUPPORTED_UPGRADE, id="not-listed"),
        pytest.param("/none/x", ["Sec-WebSocket-Key: x"], UNSUPPORTED_UPGRADE, id="a-handshake"),
        pytest.param("/public/x", ["Connection: Upgrade"], (200, ""), id="none"),
    ],
)
async def test_no_upgrade_is_ignored_in_a_check(
    words: object, uri: str, fields: list[str], expected: tuple[int, str], around: World
) -> None:
    """The proxy would pass it on to the app: a tunnel for requests that are checked no more."""
    assert callable(words)
    assert expected == verdict(await ask(around, VERIFY, *words(uri), *fields))


@pytest.mark.parametrize(
    ("uri", "method", "expected"),
    [
        pytest.param("/any/x", "FOO", (200, ""), id="unknown-where-any-will-do"),
        pytest.param("/any/x", "TRACK", (200, ""), id="that-begins-like-trace"),
        pytest.param("/any/x", "TRACE", (501, "unsupported_method"), id="trace"),
        pytest.param("/any/x", "CONNECT", (501, "unsupported_method"), id="connect"),
        pytest.param("/any/x", "trace", (400, "bad_original"), id="trace-in-lower-case"),
        pytest.param("/any/x", "Post", (400, "bad_original"), id="in-mixed-case"),
        pytest.param("/any/x", "A" * 65, (400, "bad_original"), id="that-is-long"),
        pytest.param("/any/x", "GET,POST", (400, "bad_original"), id="two"),
        pytest.param("/public/x", "FOO", (501, "unsupported_method"), id="unknown"),
        pytest.param("/reading/x", "FOO", (501, "unsupported_method"), id="unknown-not-listed"),
        pytest.param("/reading/x", "HEAD", (200, ""), id="head-as-get"),
        pytest.param("/reading/x", "POST", (405, "method_not_allowed"), id="not-listed"),
    ],
)
async def test_methods_in_a_check(
    uri: str, method: str, expected: tuple[int, str], around: World
) -> None:
    """A check is judged by the route that the request itself would take."""
    assert expected == verdict(await ask(around, VERIFY, *nginx(uri, method)))


@pytest.mark.parametrize("method", ["FOO", "TRACK", "GET", "POST", "get", "TRACE"])
@pytest.mark.parametrize("target", ["/any/x", "/public/x", "/reading/x"])
async def test_methods_in_a_check_by_path(target: str, method: str, around: World) -> None:
    """So is one whose own method is that of the request (Envoy)."""
    check = verdict(await ask(around, VERIFY + target, method=method))
    known = verdict(await ask(around, VERIFY, *nginx(target, method)))
    lower_case = method == "get"  # the request line itself is refused
    assert check == ((501, "unsupported_method") if lower_case else known)


@pytest.mark.parametrize(
    "fields",
    [[], nginx("/public/x"), traefik("/public/x"), ["X-Forwarded-For: 127.0.0.1"]],
    ids=["nothing", "x-original", "x-forwarded", "as-if-forwarded"],
)
async def test_clients_may_not_ask(fields: list[str], around: World) -> None:
    """An untrusted peer is told nothing, whatever it sends, even with a credential."""
    lines = (f"GET {VERIFY} HTTP/1.1", "Host: localhost", around.bearer(), *fields)
    answer = await sent(around, *lines, source="127.0.0.2")
    assert (403, "untrusted_peer") == verdict(answer)
    assert [] == answer.values("X-User-Issuer")


async def test_a_route_for_checks_alone_is_nowhere(around: World) -> None:
    """Asked for as such, there is no app to answer."""
    answer = await sent(around, "GET /x HTTP/1.1", "Host: asked.example")
    assert (404, "no_route") == verdict(answer)


@pytest.mark.parametrize(
    "target",
    ["/%2e%2e/session", "/../session", "/..%2fsession", "/..;/session", "/%2e%2e%2fsession", ";/x"],
)
async def test_no_path_climbs_out_of_the_check(target: str, around: World) -> None:
    """A target behind the place of checks reaches none of our other pages."""
    answer = await ask(around, VERIFY + target, around.bearer())
    assert answer.status in (400, 404)
    assert b"did:" not in answer.body
