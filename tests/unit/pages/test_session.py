"""``/session`` and ``/logout``."""

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import Identity
from tests.fakes.pages import ORIGIN, page_services, serving
from tests.fakes.ports import ISSUER, SESSION_IDENTITY, TOKEN_IDENTITY, Diary, KnownSessions

CREATED = f"create a session of {ISSUER} Unknown device"
FOREIGN = "Origin: https://evil.example"


async def test_a_token_is_exchanged_for_a_session() -> None:
    """The answer has the cookie; sessions that the browser had before are ended."""
    diary: Diary = []
    async with serving(page_services(diary)) as pages:
        answer = await pages.ask(
            "POST", "/session", "X-Gateway-Replaced: session:old", identity=TOKEN_IDENTITY
        )
    assert (201, ISSUER) == (answer.status, answer.json()["issuer"])
    assert answer.value("Set-Cookie").startswith("session=new; Max-Age=900;")
    assert [CREATED, f"end session:old of {ISSUER}"] == diary


async def test_a_session_that_cannot_be_ended_keeps_no_one_out() -> None:
    """The browser forgets its cookie in any case."""
    diary: Diary = []
    sessions = KnownSessions(diary, {"session:old": StoreUnavailable("down")})
    async with serving(page_services(diary, sessions=sessions)) as pages:
        answer = await pages.ask(
            "POST", "/session", "X-Gateway-Replaced: session:old", identity=TOKEN_IDENTITY
        )
    assert 201 == answer.status


async def test_a_renewal_ends_the_old_session_a_moment_later() -> None:
    """At the latest when the pages are closed."""
    diary: Diary = []
    async with serving(page_services(diary)) as pages:
        await pages.ask(
            "POST",
            "/session?renewal=true",
            "X-Gateway-Replaced: session:old",
            identity=TOKEN_IDENTITY,
        )
        assert CREATED == diary[0]
        assert f"end session:old of {ISSUER}" not in diary
    assert f"end session:old of {ISSUER}" in diary


@pytest.mark.parametrize(
    ("method", "path", "fields", "identity", "status"),
    [
        pytest.param("POST", "/session", (), SESSION_IDENTITY, 403, id="session-for-session"),
        pytest.param("POST", "/session", (FOREIGN,), TOKEN_IDENTITY, 403, id="foreign-page"),
        pytest.param("POST", "/session?renewal=1", (), TOKEN_IDENTITY, 400, id="no-flag"),
        pytest.param("DELETE", "/session", (FOREIGN,), SESSION_IDENTITY, 403, id="csrf"),
        pytest.param("DELETE", "/session", (), TOKEN_IDENTITY, 400, id="token-beside"),
        pytest.param("DELETE", "/session?everywhere=true", (), None, 401, id="unknown"),
    ],
)
async def test_what_is_refused(
    method: str, path: str, fields: tuple[str, ...], identity: Identity | None, status: int
) -> None:
    """Nothing was asked of the sessions."""
    diary: Diary = []
    async with serving(page_services(diary)) as pages:
        answer = await pages.ask(method, path, *fields, identity=identity)
    assert (status, []) == (answer.status, diary)


async def test_who_am_i() -> None:
    """The identity as JSON."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", "/session", identity=SESSION_IDENTITY)
    assert ("alice@example.com", "2027-01-15T08:15:00Z") == (
        answer.json()["email"],
        answer.json()["expires_at"].replace(".000", ""),
    )


async def test_signing_out_ends_the_session_here_and_at_magic() -> None:
    """And clears the cookie."""
    diary: Diary = []
    async with serving(page_services(diary)) as pages:
        answer = await pages.ask(
            "DELETE", "/session", f"Origin: {ORIGIN}", identity=SESSION_IDENTITY
        )
    assert 204 == answer.status
    assert "Max-Age=0" in answer.value("Set-Cookie")
    assert [f"end session:1 of {ISSUER}", f"log {ISSUER} out at Magic"] == diary


async def test_signing_out_everywhere_revokes_first() -> None:
    """The revocation decides; the rest tidies up."""
    diary: Diary = []
    async with serving(page_services(diary)) as pages:
        await pages.ask("POST", "/logout?everywhere=true", identity=SESSION_IDENTITY)
    assert [f"revoke {ISSUER}", f"end all sessions of {ISSUER}"] == diary[:2]


@pytest.mark.parametrize(
    ("query", "place"), [("", "login"), ("?everywhere=true", "account")], ids=["here", "everywhere"]
)
async def test_a_form_leads_to_a_page(query: str, place: str) -> None:
    """Without a session, signing out everywhere asks for a sign-in first."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("POST", f"/logout{query}", "Sec-Fetch-Mode: navigate")
    assert (303, place) == (answer.status, answer.value("Location"))
