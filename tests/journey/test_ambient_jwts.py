"""JWTs in a cookie or a field, which browsers send by themselves."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.http import Answer, connected, fetch
from tests.fakes.jwts import ABSENT, EC, ISSUER, OTHER, claims, key_set, signed
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world
from tests.journey.test_access import ACCEPTED, HANDSHAKE
from tests.journey.test_jwts import Published, published

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACCESS = "https://team.example.com"
APP = "http://localhost"
"""The origin of our own pages."""
CONFIG = """
credentials:
  jwt:
    - issuer: {clerk}
      azp: ["http://localhost"]
      jwks_url: {url}
      algorithms: [ES256]
      from: {{cookie: __session}}
      claims: {{email: email}}
    - issuer: {access}
      audience: gateway
      jwks_url: {url}
      algorithms: [ES256]
      from: {{header: Cf-Access-Jwt-Assertion}}
"""
ROUTES = """
  - {name: api, match: {path: "/api/*"}, accept: [session, did-token, jwt], upgrades: [websocket],
     upstream: app}
  - {name: open, match: {path: "/open/*"}, auth: optional, accept: [jwt], upstream: app}
  - {name: trusting, match: {path: "/trusting/*"}, accept: [jwt], forward_credentials: true,
     upstream: app}
"""


@dataclass
class Trusting:
    """A gateway that believes two issuers, and their keys."""

    world: World
    keys: Published

    async def send(self, method: str, path: str, *fields: str) -> Answer:
        self.world.app.seen.clear()
        return await fetch(self.world.port, method, path, *fields)

    def seen(self, name: str) -> list[str]:
        """The values of a field that the app got."""
        return self.world.app.seen[0].values(name)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def trusting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trusting]:
    folder: Path = tmp_path_factory.mktemp("ambient")
    async with published() as keys:
        keys.body = key_set(EC)
        url = f"http://127.0.0.1:{keys.port}/keys"
        more = CONFIG.format(clerk=ISSUER, access=ACCESS, url=url)
        async with world(
            folder, more=more, more_routes=ROUTES, publishable_key="pk_live_1"
        ) as around:
            yield Trusting(around, keys)


def clerk(**changes: object) -> str:
    """A token as Clerk makes it: without an audience."""
    return signed(claims(time.time(), **{"aud": ABSENT, "azp": APP, "sub": "user_1", **changes}))


def access(**changes: object) -> str:
    """A token as Cloudflare Access makes it."""
    return signed(claims(time.time(), **{"iss": ACCESS, "aud": ["gateway"], **changes}))


async def test_a_jwt_in_its_cookie(trusting: Trusting) -> None:
    """The app learns the caller, and sees neither that cookie nor its value in any Cookie line."""
    token = clerk(email="ada@example.com")
    fields = (f"Cookie: a=1; __session={token}; b=2", f"Cookie: __session={token}")
    assert 200 == (await trusting.send("GET", "/api/x", *fields)).status
    assert [f"{ISSUER}#user_1"] == trusting.seen("X-User-Issuer")
    assert ["ada@example.com"] == trusting.seen("X-User-Email")
    assert ["jwt"] == trusting.seen("X-Auth-Method")
    assert ["a=1; b=2"] == trusting.seen("Cookie")


async def test_a_jwt_in_its_field(trusting: Trusting) -> None:
    """The app learns the caller, and no spelling of the field reaches it."""
    fields = (f"Cf-Access-Jwt-Assertion: {access()}", f"Cf_Access_Jwt_Assertion: {clerk()}")
    assert 200 == (await trusting.send("GET", "/api/x", *fields)).status
    assert [f"{ACCESS}#job-7"] == trusting.seen("X-User-Issuer")
    assert [] == trusting.seen("Cf-Access-Jwt-Assertion")
    assert [] == trusting.seen("Cf_Access_Jwt_Assertion")


async def test_routes_that_accept_none_do_not_show_it_to_the_app(trusting: Trusting) -> None:
    """Cookie and field are ignored and dropped there; `forward_credentials` passes them."""
    fields = (f"Cookie: __session={clerk()}; b=2", f"CF-ACCESS-JWT-Assertion: {access()}")
    for path, expected in (("/public/x", 200), ("/optional/x", 200), ("/private", 401)):
        assert expected == (await trusting.send("GET", path, *fields)).status
        if expected == 200:
            assert ["b=2"] == trusting.seen("Cookie")
            assert [] == trusting.seen("Cf-Access-Jwt-Assertion")
            assert [] == trusting.seen("X-User-Issuer")
    assert 200 == (await trusting.send("GET", "/trusting/x", fields[0])).status
    assert [fields[0].removeprefix("Cookie: ")] == trusting.seen("Cookie")


@pytest.mark.parametrize("field", ["Cookie: __session={}", "Cf-Access-Jwt-Assertion: {}"])
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param((f"Origin: {APP}",), 200, id="our-page"),
        pytest.param(("Sec-Fetch-Site: same-origin",), 200, id="our-page-by-metadata"),
        pytest.param((), 403, id="no-page-is-named"),
        pytest.param(("Origin: https://evil.example",), 403, id="a-foreign-page"),
        pytest.param(("Sec-Fetch-Site: cross-site",), 403, id="a-foreign-page-by-metadata"),
    ],
)
async def test_a_state_changing_request_needs_a_page_of_ours(
    trusting: Trusting, field: str, fields: tuple[str, ...], status: int
) -> None:
    """CSRF: browsers send such a JWT with the forms of any page."""
    token = clerk() if "Cookie" in field else access()
    answer = await trusting.send("POST", "/api/x", field.format(token), *fields)
    assert (status, status == 200) == (answer.status, bool(trusting.world.app.seen))
    assert 200 == (await trusting.send("GET", "/api/x", field.format(token), *fields)).status


async def test_the_same_jwt_as_a_bearer_token(trusting: Trusting) -> None:
    """A program sends it on purpose, so that no page needs to be named, even beside the cookie."""
    token = clerk()
    bearer = f"Authorization: Bearer {token}"
    assert 200 == (await trusting.send("POST", "/api/x", bearer)).status
    cookie = f"Cookie: __session={token}"
    assert 200 == (await trusting.send("POST", "/api/x", bearer, cookie)).status
    assert 403 == (await trusting.send("POST", "/api/x", cookie)).status


@pytest.mark.parametrize(
    ("origin", "status"), [(f"Origin: {APP}", 101), ("Origin: https://evil.example", 403)]
)
async def test_a_websocket_needs_a_page_of_ours(
    trusting: Trusting, origin: str, status: int
) -> None:
    """CSWSH: browsers let any page open one with the cookie."""

    async def accept(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(seen)
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{ACCEPTED}\r\n\r\n".encode())

    heard: list[Seen] = []
    trusting.world.app.streams["/api/ws"] = accept
    line = f"Cookie: __session={clerk()}\r\n{origin}"
    async with connected(trusting.world.port) as client:
        await client.send(
            f"GET /api/ws HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}\r\n{line}\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(client.reader.readuntil(b"\r\n"), 20)
    assert status == int(head.split()[1])
    assert ([[]] if status == 101 else []) == [seen.values("Cookie") for seen in heard]


async def test_a_dead_jwt_counts_as_absent(trusting: Trusting) -> None:
    """Browsers go on sending it, so it neither hinders anonymous callers nor another credential."""
    now_s = time.time()
    for token, code in (
        (clerk(exp=now_s - 1, iat=now_s - 60), "expired_token"),
        (signed(claims(now_s, aud=ABSENT, azp=APP), OTHER), "invalid_token"),
        (clerk(azp="https://evil.example"), "invalid_token"),
        (clerk(azp=ABSENT), "invalid_token"),
        (access(), "invalid_token"),  # of the issuer whose tokens come in the field
        ("of-another-app", "invalid_token"),
    ):
        cookie = f"Cookie: __session={token}"
        answer = await trusting.send("GET", "/api/x", cookie)
        assert (401, code) == (answer.status, answer.code)
        assert 200 == (await trusting.send("GET", "/open/x", cookie)).status
        assert [] == trusting.seen("X-User-Issuer")
        bearer = trusting.world.bearer()
        assert 200 == (await trusting.send("GET", "/api/x", cookie, bearer)).status


async def test_an_empty_cookie_is_none(trusting: Trusting) -> None:
    """Signing out often leaves one."""
    answer = await trusting.send("GET", "/api/x", "Cookie: __session=")
    assert (401, "unauthenticated") == (answer.status, answer.code)


async def test_several_credentials_of_one_request(trusting: Trusting) -> None:
    """Two values in one source are ambiguous; valid ones of different people are in conflict."""
    one, two = clerk(), clerk(sub="user_2")
    for fields in (
        (f"Cookie: __session={one}; __session={two}",),
        (f"Cookie: __session={one}", f"Cookie: __session={two}"),
        (f"Cf-Access-Jwt-Assertion: {access()}", f"Cf-Access-Jwt-Assertion: {access(sub='b')}"),
    ):
        answer = await trusting.send("GET", "/api/x", *fields)
        assert (400, "ambiguous_credentials") == (answer.status, answer.code)
        assert [] == answer.values("Set-Cookie")
    for other in (
        f"Authorization: Bearer {two}",
        trusting.world.bearer(),
        f"Cf-Access-Jwt-Assertion: {access()}",
    ):
        answer = await trusting.send("GET", "/api/x", f"Cookie: __session={one}", other)
        assert (400, "conflicting_credentials") == (answer.status, answer.code)
    session = await trusting.world.sign_in()
    answer = await trusting.send("GET", "/api/x", f"{session}; __session={one}")
    assert (400, "conflicting_credentials") == (answer.status, answer.code)


async def test_a_browser_without_credentials_is_led_to_the_login(trusting: Trusting) -> None:
    """A dead JWT changes nothing about it."""
    fields = ("Sec-Fetch-Mode: navigate", f"Cookie: __session={clerk(exp=1, iat=0)}")
    answer = await trusting.send("GET", "/api/x", *fields)
    assert (302, "/_gateway/login?return_to=/api/x") == (answer.status, answer.value("Location"))
