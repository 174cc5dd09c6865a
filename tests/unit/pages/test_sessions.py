"""``/sessions``."""

import pytest

from gateway.core.identity import Browser, SessionSummary
from tests.fakes.pages import page_services, serving
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


@pytest.mark.parametrize(("wanted", "clears"), [("id-1", True), ("id-2", False)])
async def test_one_of_them_is_ended(wanted: str, clears: bool) -> None:
    """With the current one goes its cookie."""
    diary: Diary = []
    async with serving(page_services(diary, sessions=Listed(diary, {}))) as pages:
        answer = await pages.ask("DELETE", f"/sessions/{wanted}", identity=SESSION_IDENTITY)
    assert (204, clears) == (answer.status, bool(answer.values("Set-Cookie")))
    assert [f"end session:{wanted[-1]} of {ISSUER}"] == diary


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
