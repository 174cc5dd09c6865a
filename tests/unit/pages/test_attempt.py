"""``POST /login/attempt``."""

import pytest

from gateway.core.event import EventType
from gateway.ratelimit.entry import read_entry
from gateway.ratelimit.lists import LimitLists, ListKind
from gateway.ratelimit.matcher import Matcher
from tests.fakes.hooks import FakeEvents
from tests.fakes.pages import page_services, serving
from tests.fakes.ports import TOKEN_IDENTITY, Diary, RecordingLimiter

JSON = "Content-Type: application/json"


async def test_an_attempt_gets_a_nonce() -> None:
    """And the browser a secret; the address and the contact are both charged, in this order."""
    diary: Diary = []
    async with serving(page_services(diary)) as pages:
        answer = await pages.ask(
            "POST", "/login/attempt", JSON, body=b'{"email": "ada@example.com"}'
        )
    assert (200, 900) == (answer.status, answer.json()["expires_in_s"])
    assert "HttpOnly; SameSite=Strict" in answer.value("Set-Cookie")
    assert ["192.0.2.1", "email"] == [line.split()[-1].partition("-")[0] for line in diary]
    assert "ada" not in diary[1]


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        pytest.param(("Content-Type: text/plain",), b"{}", 400, id="not-declared-as-json"),
        pytest.param((JSON,), b"{", 400, id="not-json"),
        pytest.param((JSON,), b"{}", 400, id="no-contact"),
        pytest.param((JSON,), b" " * 4097, 413, id="too-large"),
        pytest.param((JSON, "Origin: https://evil.example"), b"{}", 403, id="foreign-page"),
    ],
)
async def test_what_is_refused(fields: tuple[str, ...], body: bytes, status: int) -> None:
    """Without a nonce."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("POST", "/login/attempt", *fields, body=body)
    assert status == answer.status
    assert [] == answer.values("Set-Cookie")


async def test_too_many_attempts() -> None:
    """429, before the body is read; webhooks are told of the client."""
    limiter, events = RecordingLimiter([], ["login"]), FakeEvents()
    async with serving(page_services([], limiter=limiter, events=events)) as pages:
        assert 429 == (await pages.ask("POST", "/login/attempt")).status
    [(kind, subject, data)] = events.told
    assert (EventType.LIMIT_EXCEEDED, "192.0.2.1", "limit login") == (kind, subject, data["reason"])


@pytest.mark.parametrize(
    ("kind", "entry", "status", "charged"),
    [
        pytest.param("deny", "192.0.2.0/24", 403, [], id="a-denied-client"),
        pytest.param("deny", "ada@example.com", 403, ["192.0.2.1"], id="a-denied-email"),
        pytest.param("deny", "bob@example.com", 200, ["192.0.2.1", "email"], id="others"),
        pytest.param("allow", "192.0.2.1", 200, [], id="a-client-that-is-not-counted"),
        pytest.param("allow", "*@example.com", 200, ["192.0.2.1"], id="an-email-that-is-not"),
    ],
)
async def test_lists_of_the_limit(
    kind: ListKind, entry: str, status: int, charged: list[str]
) -> None:
    """The login limit refuses who is on its deny list, and does not count who is on the other."""
    diary: Diary = []
    lists = LimitLists()
    lists.put("login", ListKind(kind), "config", Matcher([read_entry(entry)]))
    async with serving(page_services(diary, lists=lists)) as pages:
        body = b'{"email": "Ada@example.com"}'
        answer = await pages.ask("POST", "/login/attempt", JSON, body=body)
    assert status == answer.status
    assert status == 200 or answer.code == "denied_by_limit"
    assert charged == [line.split()[-1].partition("-")[0] for line in diary]


async def test_an_exchange_without_a_nonce() -> None:
    """It is refused where the config requires attempts."""
    more = "session: {require_attempt: true}"
    async with serving(page_services([], more)) as pages:
        answer = await pages.ask("POST", "/session", identity=TOKEN_IDENTITY)
        assert "nonce_required" == answer.code
    async with serving(page_services([])) as pages:
        body = b'{"nonce": 5}'
        answer = await pages.ask("POST", "/session", JSON, identity=TOKEN_IDENTITY, body=body)
        assert 400 == answer.status
