"""``/sessions``."""

from pathlib import Path

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.event import EventType
from gateway.core.identity import Browser, SessionSummary
from tests.fakes.audit import FakeTrail
from tests.fakes.pages import page_services, serving
from tests.fakes.places import CITIES, write
from tests.fakes.ports import ISSUER, SESSION_IDENTITY, Diary, KnownSessions

HERE = SessionSummary(
    id="id-1",
    session_key="session:1",
    browser=Browser("Firefox", "192.0.2.1"),
    created_at_ms=1_700_000_000_000,
    seen_at_ms=1,
    expires_at_ms=2,
)
THERE = HERE._replace(id="id-2", session_key="session:2")


class Listed(KnownSessions):
    """Two sessions of one user."""

    async def list_for(self, issuer: str) -> list[SessionSummary]:
        return [HERE, THERE] if issuer == ISSUER else []


async def test_the_list_marks_the_current_session() -> None:
    """Each has its public id, and no key of the store."""
    async with serving(page_services([], sessions=Listed([], {}))) as pages:
        answer = await pages.ask("GET", "/sessions", identity=SESSION_IDENTITY)
    assert [("id-1", True), ("id-2", False)] == [
        (session["id"], session["current"]) for session in answer.json()["sessions"]
    ]
    assert b"session:" not in answer.body


async def test_the_places_of_sessions(tmp_path: Path) -> None:
    """In the language of the page, where the operator has a database; none for other addresses."""
    path = write(tmp_path / "cities.mmdb", CITIES)
    known = HERE._replace(browser=Browser("Firefox", "89.160.20.1"))

    class Abroad(KnownSessions):
        async def list_for(self, issuer: str) -> list[SessionSummary]:
            return [known, THERE] if issuer == ISSUER else []

    for more, expected in [(f"pages: {{places: '{path}'}}", "Schweden"), ("", None)]:
        services = page_services([], more, sessions=Abroad([], {}))
        async with serving(services) as pages:
            german = "Accept-Language: de"
            answer = await pages.ask("GET", "/sessions", german, identity=SESSION_IDENTITY)
        assert [expected, None] == [session["place"] for session in answer.json()["sessions"]]


async def test_the_account_shows_the_identity() -> None:
    """To its owner alone; its forms send an origin."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", "/account", identity=SESSION_IDENTITY)
        assert 401 == (await pages.ask("GET", "/account")).status
    assert b"alice@example.com" in answer.body
    assert "same-origin" == answer.value("Referrer-Policy")


async def test_the_account_lists_the_sessions() -> None:
    """Without scripts, too: with a button for each but the current one."""
    evil = THERE._replace(browser=Browser("<b>", ""), seen_at_ms=None)

    class Odd(KnownSessions):
        async def list_for(self, issuer: str) -> list[SessionSummary]:
            return [HERE, evil] if issuer == ISSUER else []

    async with serving(page_services([], sessions=Odd([], {}))) as pages:
        page = (await pages.ask("GET", "/account", identity=SESSION_IDENTITY)).body.decode()
    assert 'data-session="id-2"' in page
    assert 'data-session="id-1"' not in page
    assert "2023-11-14 22:13 UTC" in page
    assert ("&lt;b&gt;" in page, "<b>" in page) == (True, False)


async def test_the_account_without_a_store() -> None:
    """The identity is shown, and the form that signs out."""

    class Gone(KnownSessions):
        async def list_for(self, issuer: str) -> list[SessionSummary]:
            raise StoreUnavailable(issuer)

    async with serving(page_services([], sessions=Gone([], {}))) as pages:
        answer = await pages.ask("GET", "/account", identity=SESSION_IDENTITY)
        listed = await pages.ask("GET", "/sessions", identity=SESSION_IDENTITY)
    assert (200, 503) == (answer.status, listed.status)
    assert b"alice@example.com" in answer.body
    assert b"end-others" not in answer.body


@pytest.mark.parametrize(("wanted", "clears"), [("id-1", True), ("id-2", False)])
async def test_one_of_them_is_ended(wanted: str, clears: bool) -> None:
    """With the current one goes its cookie."""
    diary: Diary = []
    sessions, trail = Listed(diary, {}), FakeTrail()
    async with serving(page_services(diary, sessions=sessions, audit=trail)) as pages:
        answer = await pages.ask("DELETE", f"/sessions/{wanted}", identity=SESSION_IDENTITY)
    assert (204, clears) == (answer.status, bool(answer.values("Set-Cookie")))
    assert [f"end session:{wanted[-1]} of {ISSUER}"] == diary
    [notice] = sessions.notices
    assert (EventType.SESSION_REVOKED, ISSUER) == (notice.kind, notice.subject)
    assert {"reason": "signed-out", "sessions": 1, "session": wanted} == notice.data
    [entry] = trail.entries
    assert ("session.revoked", ISSUER, {"session": wanted}) == (
        entry.event.value,
        entry.actor,
        entry.details,
    )


async def test_what_is_refused() -> None:
    """A session that is not the caller's, a page of another site, and a caller without identity."""
    diary: Diary = []
    async with serving(page_services(diary, sessions=Listed(diary, {}))) as pages:
        ask = pages.ask
        assert 404 == (await ask("DELETE", "/sessions/id-3", identity=SESSION_IDENTITY)).status
        foreign = "Origin: https://evil.example"
        answer = await ask("DELETE", "/sessions/id-1", foreign, identity=SESSION_IDENTITY)
        assert 403 == answer.status
        assert 401 == (await ask("GET", "/sessions")).status
    assert [] == diary
