"""Who gets in, and what the app is told of them: real gateway, real store, real sockets."""

import asyncio
import time

import pytest
import redis

from gateway.authn.did_token.mint import TokenSigner, signer
from tests.fakes.http import connected, fetch
from tests.fakes.magic import Mood
from tests.fakes.tokens import ALICE, AUDIENCE, BOB, minted, signed
from tests.fakes.world import LONG_S, World
from tests.hostile.tokens import CASES, Case

HEAD_BYTES = 16_000

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_without_credentials_401(around: World) -> None:
    """A protected page answers 401, and the app sees no request."""
    answer = await around.get("/private")

    assert (401, "unauthenticated") == (answer.status, answer.code)
    assert "Bearer" == answer.value("WWW-Authenticate")
    assert "no-store" == answer.value("Cache-Control")
    assert [] == around.app.seen


async def test_a_token_gets_in(around: World) -> None:
    """The app reads who it is, and never sees the token."""
    answer = await around.get("/private?x=1", around.bearer())

    (seen,) = around.app.seen
    assert 200 == answer.status
    assert ("GET", "/private?x=1") == (seen.method, seen.target)
    assert [ALICE.issuer] == seen.values("X-User-Issuer")
    assert ["alice@example.com"] == seen.values("X-User-Email")
    assert [] == seen.values("Authorization")


@pytest.mark.parametrize(
    "forged",
    [
        "X-User-Issuer: forged",
        "x-user-issuer: forged",
        "x_user_issuer: forged",
        "X-User.Issuer: forged",
        "X.User_Issuer: forged",
        "X-User-Email: forged",
        "X_Forwarded-For: forged",
        "X-Gateway-Identity: forged",
        "X-Gateway!Identity: forged",
    ],
)
@pytest.mark.parametrize("path", ["/private", "/public/x", "/optional/x"])
async def test_forged_identity_never_arrives(around: World, path: str, forged: str) -> None:
    """No spelling of the gateway's own names gets through, on public routes neither."""
    await around.get(path, around.bearer(), forged)

    assert 1 == len(around.app.seen)
    assert b"forged" not in around.app.raw


@pytest.mark.parametrize("path", ["/private", "/public/x"])
async def test_connection_cannot_strip_the_identity(around: World, path: str) -> None:
    """Naming our headers in Connection drops the client's copies, never ours."""
    fields = ("Connection: x-user-issuer, X-Request-Id, keep-alive", "X-User-Issuer: forged")
    await around.get(path, around.bearer(), *fields)

    (seen,) = around.app.seen
    assert b"forged" not in around.app.raw
    assert ([ALICE.issuer] if path == "/private" else []) == seen.values("X-User-Issuer")
    assert 1 == len(seen.values("X-Request-Id"))


# A space before the token is no part of it in a field (RFC 9110 section 11.4).
SENT = [case for case in CASES if case.id != "leading-space"]


@pytest.mark.parametrize("case", SENT, ids=lambda case: case.id)
async def test_hostile_tokens_get_401(around: World, case: Case) -> None:
    """Whatever a token tries, it is answered 401, and the app hears nothing of it."""
    around.magic.add_user(ALICE.issuer)
    token = case.forge(time.time(), AUDIENCE, ALICE)

    answer = await around.get("/private", f"Authorization: Bearer {token}")

    assert _expected_status(token) == answer.status
    assert [] == around.app.seen


async def test_a_token_of_a_stranger(around: World) -> None:
    """A self-signed token proves a key, not a user of Magic's."""
    answer = await around.get("/private", f"Authorization: Bearer {minted(time.time(), BOB)}")

    assert (401, "invalid_token") == (answer.status, answer.code)
    assert 'Bearer error="invalid_token"' == answer.value("WWW-Authenticate")


async def test_an_expired_token(around: World) -> None:
    """Its time is over, and the answer says so."""
    now_s = time.time()
    token = signed(now_s, iat=int(now_s) - 100, nbf=int(now_s) - 100, ext=int(now_s) - 50)
    answer = await around.get("/private", f"Authorization: Bearer {token}")

    assert (401, "expired_token") == (answer.status, answer.code)


async def test_first_sights_at_one_time_make_one_call(around: World) -> None:
    """Fifty requests of a new user ask Magic once."""
    new = _new_user(1)
    around.magic.add_user(new.issuer)
    field = f"Authorization: Bearer {minted(time.time(), new)}"

    answers = await asyncio.gather(*(around.get("/private", field) for _ in range(50)))

    assert {200} == {answer.status for answer in answers}
    assert 1 == len(around.magic.calls)


async def test_magic_down(around: World) -> None:
    """Who is known passes; who is not gets 503, is told when to come back, and then gets in."""
    known, new = around.bearer(), _new_user(2)
    assert 200 == (await around.get("/private", known)).status
    stranger = f"Authorization: Bearer {minted(time.time(), new)}"
    around.magic.add_user(new.issuer)
    around.magic.mood, around.magic.retry_after = Mood.UNAVAILABLE, "1"

    refused = await around.get("/private", stranger)
    assert (503, "magic_unavailable") == (refused.status, refused.code)
    assert 1 <= int(refused.value("Retry-After"))
    assert 200 == (await around.get("/private", known)).status

    around.magic.mood = Mood.WELL
    async with asyncio.timeout(20):
        while (await around.get("/private", stranger)).status != 200:
            await asyncio.sleep(0.1)


async def test_basic_credentials_are_not_ours(around: World) -> None:
    """Another scheme is between the client and the app."""
    await around.get("/public/x", "Authorization: Basic Zm9vOmJhcg==")

    assert ["Basic Zm9vOmJhcg=="] == around.app.seen[0].values("Authorization")


async def test_forward_credentials(around: World) -> None:
    """A route may let the app see the token."""
    bearer = around.bearer()
    await around.get("/raw/x", bearer)

    assert [bearer.partition(": ")[2]] == around.app.seen[0].values("Authorization")


async def test_two_tokens(around: World) -> None:
    """Two credentials of a kind are refused, none of them is tried."""
    answer = await around.get("/private", around.bearer(), around.bearer(BOB))

    assert (400, "ambiguous_credentials") == (answer.status, answer.code)


async def test_optional(around: World) -> None:
    """Where signing in is optional, the app is told of those who did."""
    assert 200 == (await around.get("/optional/x")).status
    assert 200 == (await around.get("/optional/x", around.bearer())).status
    assert 200 == (await around.get("/optional/x", "Cookie: session=gone")).status

    issuers = [seen.values("X-User-Issuer") for seen in around.app.seen]
    assert [[], [ALICE.issuer], []] == issuers


# --- sessions ----------------------------------------------------------------------------------


async def test_a_session(around: World) -> None:
    """A token for a cookie, the cookie for a page, and after logging out for nothing."""
    cookie = await around.sign_in()

    assert 200 == (await around.get("/private", cookie + "; theme=dark")).status
    (seen,) = around.app.seen
    assert [ALICE.issuer] == seen.values("X-User-Issuer")
    assert ["theme=dark"] == seen.values("Cookie")

    me = await around.get("/_gateway/session", cookie)
    assert (200, ALICE.issuer) == (me.status, me.json()["issuer"])

    origin = "Origin: http://localhost"
    gone = await fetch(around.port, "DELETE", "/_gateway/session", cookie, origin)
    assert 204 == gone.status
    assert "Max-Age=0" in gone.value("Set-Cookie")
    answer = await around.get("/private", cookie)
    assert (401, "session_ended") == (answer.status, answer.code)


async def test_what_signing_in_answers(around: World) -> None:
    """201 with who it is and until when; the cookie is out of reach of scripts."""
    answer = await fetch(around.port, "POST", "/_gateway/session", around.bearer())

    assert 201 == answer.status
    members = {"issuer", "email", "public_address", "phone", "roles", "permissions", "expires_at"}
    assert members == set(answer.json())
    cookie = answer.value("Set-Cookie").split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie)


async def test_a_token_is_exchanged_once(around: World) -> None:
    """A stolen token opens no second session."""
    bearer = around.bearer()
    first = await fetch(around.port, "POST", "/_gateway/session", bearer)
    second = await fetch(around.port, "POST", "/_gateway/session", bearer)

    assert (201, 409) == (first.status, second.status)
    assert "token_already_used" == second.code
    assert [] == second.values("Set-Cookie")


async def test_a_session_is_not_exchanged(around: World) -> None:
    """A cookie cannot renew itself."""
    cookie = await around.sign_in()
    answer = await fetch(
        around.port, "POST", "/_gateway/session", cookie, "Origin: http://localhost"
    )

    assert (403, "must_be_bearer") == (answer.status, answer.code)


async def test_a_session_ends_with_its_token(around: World) -> None:
    """Three seconds of token are three seconds of session."""
    cookie = await around.sign_in(lifetime_s=3)
    assert 200 == (await around.get("/private", cookie)).status

    async with asyncio.timeout(20):
        while (answer := await around.get("/private", cookie)).status == 200:
            await asyncio.sleep(0.05)
    assert (401, "session_ended") == (answer.status, answer.code)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param([], 403, id="says-not-where-it-comes-from"),
        pytest.param(["Origin: https://evil.example"], 403, id="another-site"),
        pytest.param(["Origin: null"], 403, id="sandboxed-frame"),
        pytest.param(["Sec-Fetch-Site: cross-site"], 403, id="browser-says-cross-site"),
        pytest.param(["Origin: http://localhost"], 200, id="our-own-page"),
        pytest.param(["Sec-Fetch-Site: same-origin"], 200, id="browser-says-same-origin"),
    ],
)
async def test_cross_site_posts(around: World, fields: list[str], status: int) -> None:
    """Another site's form cannot use the session cookie (CSRF)."""
    cookie = await around.sign_in()
    answer = await fetch(around.port, "POST", "/private", cookie, *fields, body=b"x")

    assert status == answer.status
    assert (status == 200) == bool(around.app.seen)


async def test_two_session_cookies(around: World) -> None:
    """A cookie tossed in by a sibling domain makes the request ambiguous; it is refused."""
    cookie = await around.sign_in()
    answer = await around.get("/private", cookie + "; session=evil")

    assert (400, "ambiguous_credentials") == (answer.status, answer.code)


async def test_an_app_cannot_set_the_session_cookie(around: World) -> None:
    """The session cookie comes from the gateway alone; the app's own cookies pass."""
    around.app.answer(
        "/public/c",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: session=fixed\r\nSet-Cookie: a=b\r\n"
        b"Content-Length: 0\r\n\r\n",
    )
    assert ["a=b"] == (await around.get("/public/c")).values("Set-Cookie")


# --- limits ------------------------------------------------------------------------------------


async def test_a_limit(around: World) -> None:
    """The sixth of five is refused, told when to come back, and never reaches the app."""
    answers = [await around.get("/tight/x") for _ in range(6)]

    assert [200] * 5 + [429] == [answer.status for answer in answers]
    refused = answers[-1]
    assert all([] == each.values("RateLimit") for each in answers[:5])
    assert "rate_limited" == refused.code
    assert f'"tight";q=5;w={LONG_S}' == refused.value("RateLimit-Policy")
    assert ("5", "0") == (
        refused.value("X-RateLimit-Limit"),
        refused.value("X-RateLimit-Remaining"),
    )
    assert 1 <= int(refused.value("Retry-After")) <= LONG_S
    assert refused.value("RateLimit").startswith('"tight";r=0;t=')
    assert 1 <= int(refused.value("X-RateLimit-Reset")) <= LONG_S
    assert 5 == len(around.app.seen)


async def test_the_limit_comes_before_the_token(around: World) -> None:
    """A caller over its limit costs no signature check and no call to Magic."""
    for _ in range(6):
        await around.get("/tight-private/x")
    stranger = f"Authorization: Bearer {minted(time.time(), _new_user(3))}"

    assert 429 == (await around.get("/tight-private/x", stranger)).status
    assert [] == around.magic.calls


# --- the gateway's own pages -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        pytest.param("GET", "/_gateway/nothing", 404, "no_route", id="no-such-page"),
        pytest.param("PUT", "/_gateway/session", 405, "method_not_allowed", id="wrong-method"),
        pytest.param("GET", "/_gateway/session", 401, "unauthenticated", id="who-am-i-anonymous"),
        pytest.param("POST", "/_gateway/development/token", 404, "no_route", id="not-in-live-mode"),
    ],
)
async def test_pages_answer_in_problem_documents(
    around: World, method: str, path: str, status: int, code: str
) -> None:
    """The pages refuse as the rest of the gateway does."""
    answer = await fetch(around.port, method, path)

    assert (status, code) == (answer.status, answer.code)
    assert "application/problem+json" == answer.value("Content-Type")
    assert [] == answer.values("Server")


async def test_a_forged_internal_identity(around: World) -> None:
    """The header by which the pages are told who it is cannot be sent by a client."""
    forged = 'X-Gateway-Identity: {"user":{"issuer":"did:ethr:0x0"},"method":"session"}'
    assert 401 == (await around.get("/_gateway/session", forged)).status


async def test_keep_alive_serves_different_people(around: World) -> None:
    """Requests on one connection are each judged by their own credential."""
    cookie = await around.sign_in()
    async with connected(around.port) as client:
        statuses = []
        for field in (cookie, "X: y", cookie):
            await client.send(f"GET /private HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n".encode())
            statuses.append((await client.answer()).status)

    assert [200, 401, 200] == statuses


def _expected_status(token: str) -> int:
    """What HTTP itself forbids is refused before it is read as a token."""
    if len(token) > HEAD_BYTES:
        return 431
    return 400 if any(character in token for character in "\r\n\0") else 401


def _new_user(number: int) -> TokenSigner:
    """Return the signer of a user that no other test uses."""
    return signer(bytes([7, number]) * 16)


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/session"), ("POST", "/logout")])
async def test_another_site_cannot_sign_a_user_out(around: World, method: str, path: str) -> None:
    """Nor can it clear the cookie where the browser withheld it (SameSite)."""
    answer = await fetch(around.port, method, f"/_gateway{path}", "Origin: https://evil.example")

    assert (403, "cross_site") == (answer.status, answer.code)
    assert [] == answer.values("Set-Cookie")


async def test_signing_out_with_a_token_beside_the_cookie(around: World) -> None:
    """Signing out is not confirmed while the session still exists."""
    cookie = await around.sign_in()
    origin = "Origin: http://localhost"
    bearer = around.bearer()
    answer = await fetch(around.port, "DELETE", "/_gateway/session", cookie, origin, bearer)

    assert (400, []) == (answer.status, answer.values("Set-Cookie"))


async def test_a_long_cookie_beside_ours(around: World) -> None:
    """The pages take what the gateway takes, and quote none of it."""
    cookie = await around.sign_in()
    answer = await around.get("/_gateway/session", f"{cookie}; other={'x' * 10_000}")

    assert 200 == answer.status


async def test_strangers_leave_nothing_in_the_store(around: World) -> None:
    """Results are cached for users that Magic knows, not for every signer."""
    with redis.Redis.from_url(around.store.url) as client:
        before = set(client.keys())
        for number in range(5):
            token = minted(time.time(), _new_user(100 + number))
            assert 401 == (await around.get("/private", f"Authorization: Bearer {token}")).status
        made = {key for key in set(client.keys()) - before if not key.startswith(b"limit:")}
        assert not made
