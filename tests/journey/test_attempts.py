"""The throttle before the login: real gateway, real store, real sockets."""

import asyncio
import gzip
import time
from collections import Counter
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import Any

import orjson
import pytest
import redis

from gateway.authn.did_token.mint import TokenSigner
from tests.fakes.http import Answer, connected, fetch
from tests.fakes.timing import no_edge
from tests.fakes.tokens import ALICE, BOB, signed
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "more_session": ", require_attempt: true",
    "trusted_proxies": "[127.0.0.0/8]",
    "client_ip": "x-forwarded-for",
}

JSON = "Content-Type: application/json"
OURS = "Origin: http://localhost"
WINDOW_S = 900
EMAIL, BOBS_EMAIL = "alice@example.com", "bob@example.com"

_addresses = iter(range(1, 250))


def somewhere() -> str:
    """Return the field line of a client at an unused address."""
    return f"X-Forwarded-For: {ip_address(0xC6336400 + next(_addresses))}"


async def attempt(world: World, document: object, *fields: str) -> Answer:
    """Ask whether one may try."""
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    path = "/_gateway/login/attempt"
    return await fetch(world.port, "POST", path, JSON, *fields, body=body)


def cookie_of(answer: Answer) -> str:
    """The field line with what the browser was given."""
    return "Cookie: " + answer.value("Set-Cookie").partition(";")[0]


def bearer(
    world: World, attachment: str, by: TokenSigner = ALICE, *, bound_by: TokenSigner = ALICE
) -> str:
    """Return the field line of a token bound to ``attachment``; Magic knows its user."""
    world.magic.add_user(by.issuer, EMAIL if by is ALICE else BOBS_EMAIL)
    now_s = time.time()
    token = signed(now_s, by, add=bound_by.sign(attachment), tid=f"tid-{now_s}")
    return f"Authorization: Bearer {token}"


async def exchange(world: World, nonce: object, *fields: str) -> Answer:
    """A token for a session."""
    body = orjson.dumps({"nonce": nonce})
    return await fetch(world.port, "POST", "/_gateway/session", JSON, OURS, *fields, body=body)


async def begun(world: World, email: str = EMAIL) -> tuple[str, str]:
    """Start an attempt; return its nonce and cookie. Earlier attempts are forgotten."""
    with redis.Redis.from_url(world.store.url) as client:
        for key in client.scan_iter("limit:login:*"):
            client.delete(key)
    answer = await attempt(world, {"email": email}, somewhere())
    assert 200 == answer.status, answer
    return answer.json()["nonce"], cookie_of(answer)


# --- asking -------------------------------------------------------------------------------------


async def test_an_attempt_gets_a_nonce(around: World) -> None:
    """With a cookie that no script and no other site can use, and that no app gets to see."""
    answer = await attempt(around, {"email": EMAIL}, somewhere(), OURS)

    assert (200, "no-store") == (answer.status, answer.value("Cache-Control"))
    assert {"nonce", "expires_in_s"} == set(answer.json())
    assert 900 == answer.json()["expires_in_s"]
    parts = set(answer.value("Set-Cookie").split("; ")[1:])
    assert {"HttpOnly", "SameSite=Strict", "Path=/_gateway", "Max-Age=900"} == parts
    assert [] == around.magic.calls


async def test_an_answer_never_tells_who_is_known(around: World) -> None:
    """Known and unknown addresses get the same answer, and Magic is not asked."""
    around.magic.add_user(ALICE.issuer, EMAIL)
    answers = [
        await attempt(around, {"email": email}, somewhere())
        for email in ("alice@example.com", "unknown@nowhere.example")
    ]
    shapes = [
        (answer.status, [name for name, _ in answer.headers], len(answer.body))
        for answer in answers
    ]
    assert shapes[0] == shapes[1]
    assert [] == around.magic.calls


async def test_an_email_has_five_tries_from_anywhere(around: World) -> None:
    """The sixth is refused and told when to come back, wherever it comes from, however spelled."""
    await no_edge(WINDOW_S)
    spellings = ["eve@example.com", "Eve@Example.COM", " eve@example.com", "EVE@example.com."] * 2
    answers = [await attempt(around, {"email": email}, somewhere()) for email in spellings]

    assert [200] * 5 + [429] * 3 == [answer.status for answer in answers]
    refused = answers[-1]
    assert "rate_limited" == refused.code
    assert '"login";q=5;w=900' == refused.value("RateLimit-Policy")
    assert 1 <= int(refused.value("Retry-After")) <= 1800
    assert [] == refused.values("Set-Cookie")
    assert 200 == (await attempt(around, {"email": "eva@example.com"}, somewhere())).status


async def test_an_address_has_fifty_tries(around: World) -> None:
    """An office of fifty people signs in; a machine that goes through a list does not."""
    await no_edge(WINDOW_S)
    here = somewhere()
    answers = [await attempt(around, {"email": f"p{n}@e.example"}, here) for n in range(51)]

    assert [200] * 50 + [429] == [answer.status for answer in answers]
    assert '"login";q=50;w=900' == answers[-1].value("RateLimit-Policy")
    # Not charged to the address that was asked for: its owner can still sign in from elsewhere.
    assert [200] * 5 + [429] == [
        (await attempt(around, {"email": "p50@e.example"}, somewhere())).status for _ in range(6)
    ]


async def test_a_phone_is_counted_too(around: World) -> None:
    """By the number, however it is written."""
    await no_edge(WINDOW_S)
    spellings = ["+14155550100", "+1 415 555 0100", "+1 (415) 555-0100"] * 2
    answers = [await attempt(around, {"phone": number}, somewhere()) for number in spellings]
    assert [200] * 5 + [429] == [answer.status for answer in answers]


async def test_the_store_sees_no_email(around: World) -> None:
    """Counters and nonces hold hashes, which say nothing without the gateway's key."""
    await attempt(around, {"email": "grace@hopper.example"}, somewhere())
    with redis.Redis.from_url(around.store.url) as client:
        seen = b"".join(key + (client.get(key) or b"") for key in client.scan_iter("lo*-nonce:*"))
        seen += b"".join(client.scan_iter("*"))
    assert b"login-nonce:" in seen
    assert b"limit:login:" in seen
    assert b"grace" not in seen
    assert b"hopper" not in seen


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param(["Origin: https://evil.example"], 403, id="another-site"),
        pytest.param(["Origin: null"], 403, id="sandboxed-frame"),
        pytest.param(["Sec-Fetch-Site: cross-site"], 403, id="browser-says-cross-site"),
        pytest.param(["Sec-Fetch-Site: same-site"], 403, id="a-sibling"),
        pytest.param([OURS, "Sec-Fetch-Site: same-origin"], 200, id="our-own-page"),
        pytest.param([], 200, id="a-program"),
    ],
)
async def test_another_site_cannot_use_up_a_visitors_tries(
    around: World, fields: list[str], status: int
) -> None:
    """It is refused before anything is charged."""
    here = somewhere()
    tries = 1 if status == 200 else 60
    for _ in range(tries):
        answer = await attempt(around, {"email": f"trudy-{status}@example.com"}, here, *fields)
        assert status == answer.status
    assert 200 == (await attempt(around, {"email": f"{len(fields)}@trent.example"}, here)).status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"{", 400, id="not-json"),
        pytest.param(b"[]", 400, id="no-object"),
        pytest.param(b'{"email": "a@b@c.d"}', 400, id="two-ats"),
        pytest.param(b'{"email": "a@b.c\\u0000"}', 400, id="control-character"),
        pytest.param(b'{"email": 7}', 400, id="no-text"),
        pytest.param(b"[" * 4000, 400, id="deep"),
        pytest.param(b'{"email": "\xff@b.c"}', 400, id="not-utf-8"),
        pytest.param(b'{"x": "' + b"x" * 5000 + b'", "email": "a@b.c"}', 413, id="too-long"),
    ],
)
async def test_an_attempt_without_a_contact_is_refused(
    around: World, body: bytes, status: int
) -> None:
    """Refused before anything is asked or kept."""
    assert status == (await attempt(around, body, somewhere())).status


HEAD = (
    b"POST /_gateway/login/attempt HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 9\r\n"
)


async def test_attempts_without_a_body_do_not_block_other_users(around: World) -> None:
    """Of a hundred such connections the address has fifty tries; the pages go on for all others."""
    here = somewhere().encode()
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(around.port)) for _ in range(100)]
        for client in silent:
            await client.send(HEAD + here + b"\r\n\r\n")
        assert 200 == (await around.get("/_gateway/login")).status
        answers = await asyncio.gather(*(client.answer("POST") for client in silent))
    assert {"rate_limited": 50, "request_timeout": 50} == Counter(a.code for a in answers)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_a_form_is_no_attempt(around: World, kind: str) -> None:
    """What a page of another site could send without asking."""
    path = "/_gateway/login/attempt"
    field = f"Content-Type: {kind}"
    body = b'{"email": "a@b.c"}'
    answer = await fetch(around.port, "POST", path, field, somewhere(), body=body)
    assert (400, "bad_request") == (answer.status, answer.code)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "none such"])
@pytest.mark.parametrize(
    "body", [gzip.compress(b'{"email": "a@b.c"}'), b"not packed"], ids=["packed", "not-packed"]
)
async def test_what_is_packed_is_not_read(around: World, coding: str, body: bytes) -> None:
    """A small body cannot become a large one, and what cannot be unpacked is no error of ours."""
    answer = await attempt(around, body, somewhere(), f"Content-Encoding: {coding}")
    assert (400, "bad_request") == (answer.status, answer.code)


# --- exchanging ---------------------------------------------------------------------------------


async def test_an_exchange_with_its_nonce(around: World) -> None:
    """The token is bound to it, the browser is the one that asked, the address is the user's."""
    nonce, cookie = await begun(around, "Alice@Example.com")
    answer = await exchange(around, nonce, cookie, bearer(around, nonce))
    assert 201 == answer.status
    session = "Cookie: " + answer.value("Set-Cookie").partition(";")[0]
    assert 200 == (await around.get("/private", session)).status


async def test_who_skips_the_throttle_gets_no_session(around: World) -> None:
    """With no body, with an empty one, with null: a good token alone is not enough."""
    path = "/_gateway/session"
    for body, fields in ((b"", ()), (b"{}", (JSON,)), (b'{"nonce": null}', (JSON,))):
        token = bearer(around, "none")
        answer = await fetch(around.port, "POST", path, OURS, token, *fields, body=body)
        assert (403, "nonce_required") == (answer.status, answer.code)
        assert [] == answer.values("Set-Cookie")


async def test_a_nonce_is_good_once(around: World) -> None:
    """A new token, bound to a nonce that was used, opens nothing."""
    nonce, cookie = await begun(around)
    first = await exchange(around, nonce, cookie, bearer(around, nonce))
    second = await exchange(around, nonce, cookie, bearer(around, nonce))
    assert (201, 403) == (first.status, second.status)
    assert "nonce_refused" == second.code


async def test_a_nonce_for_another_email(around: World) -> None:
    """Who was throttled for one address cannot sign in with another."""
    nonce, cookie = await begun(around, "another@example.com")
    answer = await exchange(around, nonce, cookie, bearer(around, nonce))
    assert (403, "nonce_refused") == (answer.status, answer.code)


@pytest.mark.parametrize("attachment", ["none", "", "x"])
async def test_a_token_that_is_not_bound(around: World, attachment: str) -> None:
    """Magic's default attachment is the word none."""
    nonce, cookie = await begun(around)
    answer = await exchange(around, nonce, cookie, bearer(around, attachment))
    assert (403, "nonce_refused") == (answer.status, answer.code)


async def test_a_token_bound_by_another(around: World) -> None:
    """Only its own user can bind it."""
    nonce, cookie = await begun(around)
    answer = await exchange(around, nonce, cookie, bearer(around, nonce, bound_by=BOB))
    assert (403, "nonce_refused") == (answer.status, answer.code)


async def test_a_nonce_in_another_browser(around: World) -> None:
    """A planted nonce and token do not sign another browser in (login CSRF)."""
    nonce, cookie = await begun(around)
    _, other = await begun(around)
    for stolen in ([], [other], ["Cookie: login-attempt=" + "A" * 43]):
        answer = await exchange(around, nonce, *stolen, bearer(around, nonce))
        assert (403, "nonce_refused") == (answer.status, answer.code)
    assert 201 == (await exchange(around, nonce, cookie, bearer(around, nonce))).status


@pytest.mark.parametrize("nonce", [7, True, [], {"a": 1}])
async def test_a_nonce_that_is_no_text(around: World, nonce: Any) -> None:
    """Malformed, as any such body."""
    answer = await exchange(around, nonce, bearer(around, "none"))
    assert (400, "bad_request") == (answer.status, answer.code)


async def test_a_forged_token_does_not_use_up_a_nonce(around: World) -> None:
    """The token is verified before the nonce is used."""
    nonce, cookie = await begun(around)
    forged = bearer(around, nonce)[:-9] + "AAAAAAAA="
    assert 401 == (await exchange(around, nonce, cookie, forged)).status
    assert 201 == (await exchange(around, nonce, cookie, bearer(around, nonce))).status


async def test_the_log_says_why(around: World) -> None:
    """In a line with the request's id; the client hears the kind alone."""
    nonce, cookie = await begun(around, "another@example.com")
    answer = await exchange(around, nonce, cookie, bearer(around, nonce))
    request_id = answer.json()["request_id"]
    await around.gateway.said(f"request {request_id} was refused: nonce_refused: issued for")
    assert "another" not in answer.body.decode()


async def test_renewal_does_not_count_as_an_attempt(around: World) -> None:
    """Using up the attempts for an email does not stop its owner from renewing."""
    await no_edge(WINDOW_S)
    nonce, cookie = await begun(around, BOBS_EMAIL)
    answer = await exchange(around, nonce, cookie, bearer(around, nonce, BOB, bound_by=BOB))
    session = answer.value("Set-Cookie").partition(";")[0]
    both = f"{cookie}; {session}"
    statuses = [
        (await attempt(around, {"email": BOBS_EMAIL}, somewhere())).status for _ in range(5)
    ]
    assert [200] * 4 + [429] == statuses

    renewing = await attempt(around, {"email": BOBS_EMAIL}, somewhere(), both, OURS)
    assert 200 == renewing.status
    nonce = renewing.json()["nonce"]
    assert (
        201
        == (await exchange(around, nonce, both, bearer(around, nonce, BOB, bound_by=BOB))).status
    )


async def test_a_signed_in_user_need_not_name_a_contact(around: World) -> None:
    """Not all users have an address; only without a session must one be named."""
    nonce, cookie = await begun(around)
    answer = await exchange(around, nonce, cookie, bearer(around, nonce))
    both = f"{cookie}; {answer.value('Set-Cookie').partition(';')[0]}"
    renewing = await attempt(around, {}, somewhere(), both, OURS)
    nonce = renewing.json()["nonce"]
    assert 201 == (await exchange(around, nonce, both, bearer(around, nonce))).status
    assert 400 == (await attempt(around, {}, somewhere())).status


async def test_a_token_is_no_part_of_an_attempt(around: World) -> None:
    """None is checked there: that would cost before anything is counted."""
    answer = await attempt(around, {"email": EMAIL}, somewhere(), bearer(around, "none"))
    assert answer.status in {400, 401, 403}
    assert [] == around.magic.calls
