"""``/session`` and ``/logout``."""

import pytest

from gateway.core.audit import AuditEvent
from gateway.core.errors import OutboxFull, StoreUnavailable, TokenAlreadyUsed
from gateway.core.event import EventType, Notice
from gateway.core.identity import Identity
from gateway.sessions.seal import public_id
from tests.fakes.audit import FakeTrail
from tests.fakes.hooks import FakeEvents
from tests.fakes.pages import ORIGIN, FakeRevocations, page_services, serving
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


async def test_a_first_sign_in_that_a_webhook_has_not_taken_stands() -> None:
    """The answer says so; where it is taken in time, it says nothing."""
    asked = []

    async def unsettled(issuer: str) -> bool:
        asked.append(issuer)
        return len(asked) > 1

    services = page_services([])._replace(first_login_settled=unsettled)
    async with serving(services) as pages:
        waited, settled = [
            await pages.ask("POST", "/session", identity=TOKEN_IDENTITY) for _ in range(2)
        ]
    assert [ISSUER, ISSUER] == asked
    assert (201, "pending") == (waited.status, waited.json()["first_login"])
    assert waited.value("Set-Cookie").startswith("session=new;")
    assert "first_login" not in settled.json()


async def test_a_first_sign_in_without_room_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """503, and when to come back; no cookie is set."""

    async def full(*_: object) -> None:
        raise OutboxFull("no room for events of first sign-ins")

    sessions = KnownSessions([], {})
    monkeypatch.setattr(sessions, "create", full)
    async with serving(page_services([], sessions=sessions)) as pages:
        answer = await pages.ask("POST", "/session", identity=TOKEN_IDENTITY)
    assert (503, "outbox_full", "1") == (answer.status, answer.code, answer.value("Retry-After"))
    assert [] == answer.values("Set-Cookie")


async def test_a_sign_out_is_told_by_the_end_of_its_session() -> None:
    """By an id that reveals nothing."""
    sessions = KnownSessions([], {})
    async with serving(page_services([], sessions=sessions)) as pages:
        await pages.ask("DELETE", "/session", f"Origin: {ORIGIN}", identity=SESSION_IDENTITY)
    [notice] = sessions.notices
    assert (EventType.LOGOUT, ISSUER) == (notice.kind, notice.subject)
    assert {"session": public_id("session:1")} == notice.data


@pytest.mark.parametrize("ended", [0, None])
async def test_a_sign_out_everywhere_is_told_by_the_revocation(ended: int | None) -> None:
    """Both events; nothing is told twice. ``sessions`` is null where the list cannot be read."""
    revocations, sessions = FakeRevocations([]), KnownSessions([], {})
    if ended is None:
        sessions.is_list_down = True
    services = page_services([], sessions=sessions, revocations=revocations, events=FakeEvents())
    async with serving(services) as pages:
        answer = await pages.ask("POST", "/logout?everywhere=true", identity=SESSION_IDENTITY)
    assert 204 == answer.status
    data = {"reason": "signed-out-everywhere", "sessions": ended, "session": None}
    out = {"session": public_id("session:1")}
    assert [
        Notice(EventType.SESSION_REVOKED, ISSUER, data),
        Notice(EventType.LOGOUT, ISSUER, out),
    ] == revocations.notices
    assert [] == sessions.notices


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
    """The revocation decides; the rest tidies up. Without an endpoint, nothing is asked before."""
    diary: Diary = []
    services = page_services(diary, events=FakeEvents(frozenset()))
    async with serving(services) as pages:
        await pages.ask("POST", "/logout?everywhere=true", identity=SESSION_IDENTITY)
    assert [f"revoke {ISSUER}", f"end all sessions of {ISSUER}"] == diary[:2]


async def test_signing_out_everywhere_stands_where_the_rest_cannot_be_tidied_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The revocation has its line in the audit file, and the cookie goes."""
    trail, sessions = FakeTrail(), KnownSessions([], {"session:1": StoreUnavailable("down")})

    async def down(*_: object) -> int:
        raise StoreUnavailable("down")

    monkeypatch.setattr(sessions, "end_all", down)
    async with serving(page_services([], sessions=sessions, audit=trail)) as pages:
        answer = await pages.ask("POST", "/logout?everywhere=true", identity=SESSION_IDENTITY)
    assert 204 == answer.status
    assert "Max-Age=0" in answer.value("Set-Cookie")
    revoked, left = trail.entries
    assert (AuditEvent.ISSUER_REVOKED, None) == (revoked.event, revoked.details["sessions_ended"])
    assert AuditEvent.LOGOUT == left.event


@pytest.mark.parametrize(
    ("query", "place"),
    [("", "signed-out"), ("?everywhere=true", "account")],
    ids=["here", "everywhere"],
)
async def test_a_form_leads_to_a_page(query: str, place: str) -> None:
    """Without a session, signing out everywhere asks for a sign-in first."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("POST", f"/logout{query}", "Sec-Fetch-Mode: navigate")
    assert (303, place) == (answer.status, answer.value("Location"))


async def test_sign_ins_and_sign_outs_have_audit_lines() -> None:
    """Who, from where, and by which request; a refused one with its code."""
    trail = FakeTrail()
    async with serving(page_services([], audit=trail)) as pages:
        asked = ("X-Request-Id: r1",)
        await pages.ask("POST", "/session", *asked, identity=TOKEN_IDENTITY)
        for query in ("", "?everywhere=true"):
            await pages.ask(
                "DELETE", f"/session{query}", f"Origin: {ORIGIN}", identity=SESSION_IDENTITY
            )
    first = trail.entries[0]
    assert (AuditEvent.LOGIN, ISSUER, ISSUER, "192.0.2.1", "ok", "", "r1") == first[:7]
    assert {"session", "device"} == set(first.details)
    assert ["user.logout", "issuer.revoked", "user.logout"] == [
        entry.event.value for entry in trail.entries[1:]
    ]
    assert "session:1" not in str(trail.entries)


async def test_a_refused_sign_in_has_an_audit_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the code of the answer."""

    async def used(*_: object) -> None:
        raise TokenAlreadyUsed

    trail, sessions = FakeTrail(), KnownSessions([], {})
    monkeypatch.setattr(sessions, "create", used)
    async with serving(page_services([], sessions=sessions, audit=trail)) as pages:
        answer = await pages.ask("POST", "/session", identity=TOKEN_IDENTITY)
    [entry] = trail.entries
    assert (409, "refused", "token_already_used") == (answer.status, entry.result, entry.reason)


async def test_without_audit_lines_no_session_begins() -> None:
    """With ``on_failure: refuse``: before there is one, or after, and then it is ended."""
    for fails_late in (False, True):
        trail, diary = FakeTrail(), list[str]()
        trail.is_full, trail.fails_late = True, fails_late
        sessions = KnownSessions(diary, {})
        async with serving(page_services(diary, sessions=sessions, audit=trail)) as pages:
            answer = await pages.ask("POST", "/session", identity=TOKEN_IDENTITY)
        assert (503, "audit_unavailable") == (answer.status, answer.code)
        assert [] == answer.values("Set-Cookie")
        assert fails_late is bool(diary)
        assert all(entry.result != "ok" for entry in trail.entries)
        if fails_late:
            assert diary[-1].startswith("end ")
            assert ["revoked"] == sessions.ended  # its user has not signed out


async def test_signing_out_works_without_audit_lines() -> None:
    """A full disk must not keep a session alive."""
    trail = FakeTrail()
    trail.is_full = True
    async with serving(page_services([], audit=trail)) as pages:
        answer = await pages.ask(
            "DELETE", "/session", f"Origin: {ORIGIN}", identity=SESSION_IDENTITY
        )
    assert 204 == answer.status
