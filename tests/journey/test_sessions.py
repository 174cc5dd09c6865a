"""Sessions from the first login to the last logout: real gateway, real store, real sockets."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.sessions.listing import key_in, parse
from gateway.sessions.seal import SealBroken, Sealer, key_name
from tests.fakes.http import Answer, connected, fetch
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import SESSION_KEY, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = "Origin: http://localhost"
FIREFOX = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
CURL = "User-Agent: curl/8.5.0"


def _new_user(number: int) -> TokenSigner:
    """Return the signer of a user that no other test uses."""
    return signer(bytes([11, number]) * 16)


async def _status(around: World, cookie: str) -> int:
    return (await around.get("/private", cookie)).status


async def _listed(around: World, *fields: str) -> list[dict[str, Any]]:
    answer = await around.get("/_gateway/sessions", *fields)
    assert 200 == answer.status, answer
    assert "no-store" == answer.value("Cache-Control")
    sessions: list[dict[str, Any]] = answer.json()["sessions"]
    return sessions


async def _end(around: World, session_id: str, *fields: str) -> Answer:
    return await fetch(around.port, "DELETE", f"/_gateway/sessions/{session_id}", *fields)


def _secret(cookie: str) -> str:
    return cookie.partition("=")[2]


# --- one's own sessions -------------------------------------------------------------------------


async def test_a_person_sees_where_they_are_signed_in(around: World) -> None:
    """By words that they know: the browser, the address, the times; and which one this is."""
    ada = _new_user(1)
    laptop = await around.sign_in(ada, 900, FIREFOX)
    await around.sign_in(ada, 600, CURL)
    await around.sign_in(BOB)

    program, browser = await _listed(around, laptop)

    times = {"created_at", "last_seen_at", "expires_at"}
    assert {"id", "device", "ip", "place", "current", *times} == {*browser}
    assert browser["place"] is None
    assert ("Firefox on Linux", "127.0.0.1", True) == _shown(browser)
    assert ("curl", "127.0.0.1", False) == _shown(program)
    assert browser["created_at"] <= program["created_at"] < program["expires_at"]
    assert program["expires_at"] < browser["expires_at"]
    assert program["last_seen_at"] is None
    assert browser["created_at"] <= browser["last_seen_at"]


def _shown(session: dict[str, Any]) -> tuple[str, str, bool]:
    return session["device"], session["ip"], session["current"]


async def test_a_token_sees_them_too(around: World) -> None:
    """It names the person; none of them is the current one."""
    ada = _new_user(2)
    await around.sign_in(ada)

    assert [False] == [shown["current"] for shown in await _listed(around, around.bearer(ada))]


async def test_nothing_that_is_shown_opens_anything(around: World) -> None:
    """Neither the cookie nor its place in the store is on the page."""
    cookie = await around.sign_in(_new_user(3))
    body = (await around.get("/_gateway/sessions", cookie)).body.decode()

    assert _secret(cookie) not in body
    assert key_name(_secret(cookie)).partition(":")[2] not in body


async def test_the_session_list_needs_authentication(around: World) -> None:
    """Without a session there is no list."""
    answer = await around.get("/_gateway/sessions")
    assert (401, "unauthenticated") == (answer.status, answer.code)


async def test_a_person_ends_another_session_of_theirs(around: World) -> None:
    """It is over at once; this one goes on."""
    ada = _new_user(4)
    here, there = await around.sign_in(ada), await around.sign_in(ada)
    (other,) = [shown for shown in await _listed(around, here) if not shown["current"]]

    answer = await _end(around, other["id"], here, OURS)

    assert (204, []) == (answer.status, answer.values("Set-Cookie"))
    assert [200, 401] == [await _status(around, cookie) for cookie in (here, there)]
    assert [True] == [shown["current"] for shown in await _listed(around, here)]
    again = await _end(around, other["id"], here, OURS)
    assert (404, "no_session") == (again.status, again.code)


async def test_a_person_ends_the_session_that_they_are_in(around: World) -> None:
    """The cookie goes with it."""
    cookie = await around.sign_in(_new_user(5))
    (shown,) = await _listed(around, cookie)

    answer = await _end(around, shown["id"], cookie, OURS)

    assert 204 == answer.status
    assert "Max-Age=0" in answer.value("Set-Cookie")
    assert 401 == await _status(around, cookie)


async def test_a_user_cannot_end_the_session_of_another(around: World) -> None:
    """Knowing its id is not enough, and the answer does not tell that it exists."""
    ada, eve = _new_user(6), _new_user(7)
    theirs, hers = await around.sign_in(ada), await around.sign_in(eve)
    (shown,) = await _listed(around, theirs)

    refused = [
        await _end(around, shown["id"], hers, OURS),
        await _end(around, "0" * 32, hers, OURS),
        await _end(around, "%3Cscript%3E", hers, OURS),
    ]

    assert [(404, "no_session")] * 3 == [(answer.status, answer.code) for answer in refused]
    assert 200 == await _status(around, theirs)


@pytest.mark.parametrize("fields", [[], ["Origin: https://evil.example"]], ids=["silent", "evil"])
async def test_a_page_of_another_site_ends_nothing(around: World, fields: list[str]) -> None:
    """By this door neither."""
    cookie = await around.sign_in(_new_user(8))
    shown = (await _listed(around, cookie))[0]

    answer = await _end(around, shown["id"], cookie, *fields)

    assert (403, "cross_site") == (answer.status, answer.code)
    assert 200 == await _status(around, cookie)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_gateway/logout?everywhere=true"),
        ("DELETE", "/_gateway/session?everywhere=true"),
    ],
)
async def test_signing_out_everywhere(around: World, method: str, path: str) -> None:
    """All sessions of this user end, their tokens are revoked, and other users stay signed in."""
    ada = _new_user(9)
    bearer = around.bearer(ada)
    cookies = [await around.sign_in(ada) for _ in range(3)]
    other = await around.sign_in(_new_user(10))

    answer = await fetch(around.port, method, path, cookies[0], OURS)

    assert 204 == answer.status
    assert "Max-Age=0" in answer.value("Set-Cookie")
    assert [401] * 3 == [await _status(around, cookie) for cookie in cookies]
    assert 200 == await _status(around, other)
    assert 401 == (await around.get("/private", bearer)).status
    async with asyncio.timeout(20):  # what is proven in this very second is void too
        while (again := await around.get("/_gateway/sessions", around.bearer(ada))).status != 200:
            await asyncio.sleep(0.05)
    assert [] == again.json()["sessions"]


async def test_signing_out_everywhere_needs_a_valid_session(around: World) -> None:
    """Ending all sessions needs a valid one; signing out here does not."""
    dead = "Cookie: session=" + "a" * 43
    path = "/_gateway/logout"

    everywhere = await fetch(around.port, "POST", path + "?everywhere=true", dead, OURS)
    here = await fetch(around.port, "POST", path, dead, OURS)

    assert (401, "unauthenticated") == (everywhere.status, everywhere.code)
    form = "Sec-Fetch-Mode: navigate"
    for asked, place in (("?everywhere=true", "account"), ("", "signed-out")):
        answer = await fetch(around.port, "POST", path + asked, dead, OURS, form)
        assert (303, [place]) == (answer.status, answer.values("Location"))
    assert 204 == here.status


async def test_signing_out_here_leaves_the_others(around: World) -> None:
    """``everywhere`` is asked for, in so many words."""
    ada = _new_user(11)
    here, there = await around.sign_in(ada), await around.sign_in(ada)
    path = "/_gateway/session?everywhere="

    odd = await fetch(around.port, "DELETE", path + "maybe", here, OURS)
    assert (400, "bad_request") == (odd.status, odd.code)
    assert 200 == await _status(around, here)
    assert 204 == (await fetch(around.port, "DELETE", path + "false", here, OURS)).status

    assert [401, 200] == [await _status(around, cookie) for cookie in (here, there)]


# --- a new id at every login --------------------------------------------------------------------


@pytest.mark.parametrize("next_number", [12, 13], ids=["the-same-person", "another-person"])
async def test_a_login_replaces_what_the_browser_had(around: World, next_number: int) -> None:
    """A new id takes the place of the old one, which opens nothing any more, whosever it was."""
    old = await around.sign_in(_new_user(12))

    new = await around.sign_in(_new_user(next_number), 900, old)

    assert _secret(old) != _secret(new)
    assert [401, 200] == [await _status(around, cookie) for cookie in (old, new)]
    (shown,) = await _listed(around, new)
    assert shown["current"]


async def test_a_renewal_breaks_no_request_that_is_under_way(tmp_path: Path) -> None:
    """The old id goes on for a moment, and not for longer than the gateway itself."""
    async with world(tmp_path) as around:
        old = await around.sign_in()
        path = "/_gateway/session?renewal=true"
        answer = await fetch(around.port, "POST", path, around.bearer(), old)
        new = "Cookie: " + answer.value("Set-Cookie").partition(";")[0]

        assert 201 == answer.status
        assert [200, 200] == [await _status(around, cookie) for cookie in (old, new)]
        assert [True] == [shown["current"] for shown in await _listed(around, new)]

        with redis.Redis.from_url(around.store.url) as store:
            await around.gateway.stop()
            assert [key_name(_secret(new)).encode()] == list(store.scan_iter("session:*"))


async def test_session_fixation_is_prevented(around: World) -> None:
    """An id planted in the browser is replaced at login."""
    planted = "Cookie: session=" + "a" * 43

    cookie = await around.sign_in(_new_user(14), 900, planted)

    assert [401, 200] == [await _status(around, field) for field in (planted, cookie)]


async def test_an_exchange_that_fails_replaces_nothing(around: World) -> None:
    """A used token signs no session out."""
    ada = _new_user(15)
    bearer = around.bearer(ada)
    first = await fetch(around.port, "POST", "/_gateway/session", bearer)
    cookie = "Cookie: " + first.value("Set-Cookie").partition(";")[0]

    again = await fetch(around.port, "POST", "/_gateway/session", bearer, cookie)

    assert 409 == again.status
    assert 200 == await _status(around, cookie)


async def test_a_page_of_another_site_cannot_sign_a_user_in(around: World) -> None:
    """Or the site's owner could watch what the user does in that account (login CSRF)."""
    answer = await fetch(
        around.port, "POST", "/_gateway/session", around.bearer(), "Origin: https://evil.example"
    )
    assert (403, "cross_site") == (answer.status, answer.code)


# --- ends ---------------------------------------------------------------------------------------


async def _until(around: World, cookie: str, status: int) -> None:
    async with asyncio.timeout(20):
        while await _status(around, cookie) != status:
            await asyncio.sleep(0.02)


async def test_a_session_ends_when_it_is_not_used(tmp_path: Path) -> None:
    """A session that is used lives on; the unused one expires by itself."""
    async with world(tmp_path, more_session=", idle: 2s") as around:
        unused = used = ""
        pause_s = 2.0
        while pause_s > 1:  # the machine stood still, and nothing was used
            unused, used = await around.sign_in(ALICE), await around.sign_in(ALICE)
            pause_s = await _longest_pause_s(around, used, until_ended=unused)

        assert [401, 200] == [await _status(around, cookie) for cookie in (unused, used)]
        shown = next(shown for shown in await _listed(around, used) if shown["current"])
        assert shown["created_at"] < shown["last_seen_at"]


async def _longest_pause_s(around: World, used: str, *, until_ended: str) -> float:
    """Use a session until another one is gone from the store; how long it was not used."""
    longest_s, at_s = 0.0, time.monotonic()
    with redis.Redis.from_url(around.store.url) as store:
        async with asyncio.timeout(20):
            while store.exists(key_name(_secret(until_ended))):
                await _status(around, used)
                await asyncio.sleep(0.02)
                longest_s, at_s = max(longest_s, time.monotonic() - at_s), time.monotonic()
    return longest_s


async def test_a_session_ends_when_the_config_says(tmp_path: Path) -> None:
    """However long the token lives, and however much it is used."""
    async with world(tmp_path, more_session=", lifetime: 3s, idle: 30m") as around:
        cookie = await around.sign_in()
        assert 200 == await _status(around, cookie)
        await _until(around, cookie, 401)


# --- sealing keys -------------------------------------------------------------------------------

NEW_KEY = "another sealing key for tests, long enough too"


async def _reload_with(around: World, keys: str) -> None:
    """Wait until the gateway serves by ``keys``."""
    config = around.gateway.config
    before = len([line for line in around.gateway.messages if line.startswith("config reloaded")])
    text = config.read_text().split("session: {keys: [")
    config.write_text(f"{text[0]}session: {{keys: [{keys}]{text[1][text[1].index(']') + 1 :]}")
    around.gateway.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(20):
        while before == len(
            [line for line in around.gateway.messages if line.startswith("config reloaded")]
        ):
            await asyncio.sleep(0.01)


async def test_changing_sealing_keys_signs_no_user_out(tmp_path: Path) -> None:
    """A new key seals beside the old one; without the old one only what that has sealed ends."""
    async with world(tmp_path) as around:
        old = await around.sign_in()
        await _reload_with(around, f'"{NEW_KEY}", "{SESSION_KEY}"')
        assert 200 == await _status(around, old)
        new = await around.sign_in()
        assert 2 == len(await _listed(around, new))

        await _reload_with(around, f'"{NEW_KEY}"')

        assert [401, 200] == [await _status(around, cookie) for cookie in (old, new)]
        assert [True] == [shown["current"] for shown in await _listed(around, new)]


# --- what is stolen -----------------------------------------------------------------------------


def _dump(store: redis.Redis) -> dict[str, Any]:
    """All that a thief of the store has, by key: strings, and the fields of hashes."""
    found = {}
    raw: Any
    for raw in store.scan_iter():
        key, held = raw.decode(), store.type(raw)
        fields: Any = store.hgetall(key) if held == b"hash" else {}
        for field, value in fields.items():
            found[f"{key} {field.decode()}"] = value
        if held == b"string":
            found[key] = store.get(key)
    return found


async def test_a_stolen_store_opens_no_session_even_with_the_servers_keys(tmp_path: Path) -> None:
    """No cookie is in it, and no record opens by anything that is."""
    async with world(tmp_path) as around:
        cookies = [await around.sign_in(ALICE), await around.sign_in(BOB)]
        with redis.Redis.from_url(around.store.url) as store:
            dump = _dump(store)
            raw = b"".join(store.dump(key) or b"" for key in store.scan_iter())
        records = {key: value for key, value in dump.items() if key.startswith("session:")}
        assert 2 == len(records)
        for cookie in cookies:
            secret = _secret(cookie)
            assert secret.encode() not in raw
            assert not any(secret in key for key in dump)

        sealer = Sealer([SESSION_KEY.encode()])
        words = [word for key in dump for word in (key, *key.replace(" ", ":").split(":"))]
        for key, sealed in records.items():
            for guess in words:
                with pytest.raises(SealBroken):
                    sealer.open(guess, sealed)
            with pytest.raises(SealBroken):
                sealer.open_entry(key, sealed)
        for guess in words:
            answer = await around.get("/private", f"Cookie: session={guess.replace(' ', '')}")
            assert 401 == answer.status, guess

        assert {key_name(_secret(cookie)) for cookie in cookies} == set(records)


async def test_what_the_servers_keys_do_open(tmp_path: Path) -> None:
    """Where users signed in from, and no credential."""
    async with world(tmp_path) as around:
        await around.sign_in(ALICE, 900, FIREFOX)
        with redis.Redis.from_url(around.store.url) as store:
            ((key, entry),) = store.hgetall(f"sessions-of:{ALICE.issuer}").items()

        session_key = key_in(key.decode())
        known = parse(Sealer([SESSION_KEY.encode()]), ALICE.issuer, session_key, entry).sign_in
        unknown = parse(Sealer([NEW_KEY.encode()]), ALICE.issuer, session_key, entry).sign_in

        assert unknown is None
        assert known is not None
        assert ("Firefox on Linux", "127.0.0.1") == known.browser


async def test_a_cookie_without_the_store_is_nothing(tmp_path: Path) -> None:
    """It is a random number: with an empty store it authenticates no user."""
    async with world(tmp_path) as around:
        cookie = await around.sign_in()
        assert 200 == await _status(around, cookie)
        around.store.restart()

        await _until(around, cookie, 401)
        answer = await around.get("/private", cookie)
        assert "session_ended" == answer.code


# --- odd cookies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "statuses"),
    [
        pytest.param("session=", {401}, id="empty"),
        pytest.param("session=" + "a" * 5_000, {401}, id="long"),
        pytest.param("session=" + "a" * 20_000, {431}, id="longer-than-a-head"),
        pytest.param("session=\u00e9\u00e9", {401}, id="not-ascii"),
        pytest.param("; ".join(f"session_{i}=x" for i in range(800)), {401}, id="many-others"),
        pytest.param("session" * 100, {401}, id="no-pair"),
    ],
)
async def test_malformed_cookies_do_not_authenticate(
    around: World, cookie: str, statuses: set[int]
) -> None:
    """And who sends them can sign in nevertheless, unless the head itself is too long."""
    field = f"Cookie: {cookie}"
    assert await _status(around, field) in statuses
    if statuses == {401}:
        new = await around.sign_in(_new_user(20), 900, field)
        assert 200 == await _status(around, new)


# --- cookies that others have set in our name ---------------------------------------------------


class Browser:
    """A cookie jar that follows RFC 6265 as far as it matters here: domains, paths, expiry."""

    def __init__(self, around: World, host: str) -> None:
        self._around = around
        self._host = host
        self.jar: dict[tuple[str, bool, str], str] = {}
        """By domain, whether it is for this host alone, and path."""

    def take(self, set_cookie: str) -> None:
        pair, *attributes = set_cookie.split("; ")
        given = dict(attribute.partition("=")[::2] for attribute in attributes)
        domain = given.get("Domain", "")
        key = domain or self._host, not domain, given.get("Path", "/")
        value = pair.partition("=")[2]
        if given.get("Max-Age") == "0":
            self.jar.pop(key, None)
        else:
            self.jar[key] = value

    async def ask(self, method: str, path: str, *fields: str) -> Answer:
        sent = [f"session={value}" for key, value in self.jar.items() if self._matches(key, path)]
        cookies = [f"Cookie: {'; '.join(sent)}"] if sent else []
        request = f"{method} {path} HTTP/1.1", f"Host: {self._host}", *cookies, *fields
        async with connected(self._around.port) as client:
            await client.send("\r\n".join([*request, "", ""]).encode())
            answer = await client.answer(method)
        for value in answer.values("Set-Cookie"):
            self.take(value)
        return answer

    def _matches(self, key: tuple[str, bool, str], path: str) -> bool:
        domain, is_host_only, below = key
        is_ours = self._host == domain or (not is_host_only and self._host.endswith(f".{domain}"))
        folder = below if below.endswith("/") else below + "/"
        return is_ours and (path == below or path.startswith(folder))


@pytest.mark.parametrize(
    "tossed",
    [
        pytest.param("Path=/; Domain=example.com", id="by-a-sibling-host"),
        pytest.param("Path=/private; Domain=example.com", id="for-a-path-only"),
        pytest.param("Path=/private/; Domain=app.example.com", id="for-all-below-a-path"),
        pytest.param("Path=/private", id="by-a-script-of-the-host"),
    ],
)
async def test_a_browser_gets_rid_of_a_tossed_cookie(around: World, tossed: str) -> None:
    """The first request is refused, whatever the cookie; the next is authenticated again."""
    evil = _secret(await around.sign_in(BOB))
    browser = Browser(around, "app.example.com")
    answer = await browser.ask("POST", "/_gateway/session", around.bearer())
    assert (201, 1) == (answer.status, len(browser.jar))
    own = dict(browser.jar)
    browser.take(f"session={evil}; {tossed}")

    refused = await browser.ask("GET", "/private/x")
    assert (400, "ambiguous_credentials") == (refused.status, refused.code)

    assert own == browser.jar
    assert 200 == (await browser.ask("GET", "/private/x")).status
    assert [ALICE.issuer] == around.app.seen[-1].values("X-User-Issuer")


async def test_a_browser_that_has_only_tossed_cookies_can_sign_in(around: World) -> None:
    """Even where there are two, and none of them is its own."""
    browser = Browser(around, "app.example.com")
    browser.take("session=" + "a" * 43 + "; Path=/; Domain=example.com")
    browser.take("session=" + "b" * 43 + "; Path=/_gateway; Domain=app.example.com")
    assert 400 == (await browser.ask("POST", "/_gateway/session", around.bearer())).status

    answer = await browser.ask("POST", "/_gateway/session", around.bearer())

    assert (201, 1) == (answer.status, len(browser.jar))
    assert 200 == (await browser.ask("GET", "/private/x")).status


async def test_a_page_on_another_port_of_the_host_reads_and_does_not_write(around: World) -> None:
    """Cookies do not know ports: the app is told that the page was of another port, and decides."""
    cookie = await around.sign_in()
    fields = (cookie, "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors")
    assert 200 == (await around.get("/private", *fields)).status
    (seen,) = around.app.seen
    assert ["same-site"] == seen.values("Sec-Fetch-Site")

    other_port = ("Origin: http://localhost:8081", *fields)
    answer = await fetch(around.port, "POST", "/private", *other_port)
    assert (403, "cross_site") == (answer.status, answer.code)
    assert 1 == len(around.app.seen)
