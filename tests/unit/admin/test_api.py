"""The operators' API, asked over a socket."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.access import AdminAccess
from gateway.admin.access_control import AccessControl
from gateway.admin.api import Api
from gateway.admin.promotion import NoCandidate
from gateway.core.audit import AuditEvent
from gateway.core.errors import ConfigError, MagicUnavailable, StoreUnavailable
from gateway.revocation.name import NotRevocable, RevocationRefused, UnknownEmail
from tests.fakes.admin import EMAIL, EXPLAINED, ISSUER, Deeds
from tests.fakes.audit import FakeTrail

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def actions() -> Deeds:
    return Deeds()


@pytest.fixture
def trail() -> FakeTrail:
    return FakeTrail()


@pytest.fixture
async def client(actions: Deeds, trail: FakeTrail) -> AsyncIterator[Client]:
    control = AccessControl(lambda: AdminAccess(frozenset({"localhost"})))
    app = web.Application(middlewares=[control.guarded])
    app.add_routes(Api(actions, trail).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def asked(client: Client, **changes: Any) -> tuple[int, dict[str, Any]]:
    """Status and document."""
    options: dict[str, Any] = {"json": {"issuer": ISSUER}, **changes}
    async with client.post("/api/revocations", **options) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json(content_type=None)


async def test_an_issuer_is_revoked(client: Client, actions: Deeds) -> None:
    """The answer says since when, and how many sessions that was."""
    expected = {
        "issuer": ISSUER,
        "revoked_at": "2027-01-15T08:00:00.400Z",
        "sessions_ended": 3,
    }
    assert (200, expected) == await asked(client)
    assert [ISSUER] == actions.revoked


async def test_all_issuers_of_an_email_are_revoked_and_named(
    client: Client, actions: Deeds
) -> None:
    """The answer lists each of them, and says whether Magic was asked for more."""
    status, found = await asked(client, json={"issuer": EMAIL})
    assert (200, EMAIL, True) == (status, found["email"], found["is_complete"])
    assert [(ISSUER, 3), ("did:ethr:0xB0", 0)] == [
        (each["issuer"], each["sessions_ended"]) for each in found["revoked"]
    ]
    assert [EMAIL] == actions.revoked


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        pytest.param({"headers": {"Origin": "http://x"}}, 403, "forbidden", id="a-page"),
        pytest.param({"headers": {"Host": "evil.example"}}, 403, "forbidden", id="rebound"),
        pytest.param({"json": None, "data": b"{}"}, 415, "not_json", id="no-json"),
        pytest.param({"json": ["x"]}, 400, "bad_request", id="no-object"),
        pytest.param({"json": {"issuer": 5}}, 400, "bad_request", id="no-text"),
        pytest.param({"json": {"issuer": ISSUER, "x": 1}}, 400, "bad_request", id="too-much"),
        pytest.param(
            {"json": None, "data": b"{", "headers": {"Content-Type": "application/json"}},
            400,
            "bad_request",
            id="broken",
        ),
    ],
)
async def test_an_invalid_request_revokes_no_issuer(
    client: Client, actions: Deeds, changes: dict[str, Any], status: int, code: str
) -> None:
    """The answer says why: only operators reach the listener."""
    found = await asked(client, **changes)
    assert (status, code) == (found[0], found[1]["code"])
    assert [] == actions.revoked


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        pytest.param(RevocationRefused("mistyped"), 400, "bad_request", id="no-issuer"),
        pytest.param(NotRevocable("a service"), 400, "not_revocable", id="a-service"),
        pytest.param(UnknownEmail("unknown"), 404, "unknown_email", id="no-user"),
        pytest.param(MagicUnavailable("down"), 503, "magic_unavailable", id="no-magic"),
        pytest.param(StoreUnavailable("down"), 503, "store_unavailable", id="no-store"),
    ],
)
async def test_what_failed_is_no_success(
    client: Client, actions: Deeds, error: Exception, status: int, code: str
) -> None:
    """The answer has the status and code of the failure."""
    actions.error = error
    found = await asked(client)
    assert (status, code) == (found[0], found[1]["code"])


async def explained(client: Client, **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and document."""
    async with client.post("/api/explain", **options) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_request_is_explained(client: Client, actions: Deeds) -> None:
    """The document is handed on as it is, and so is the explanation."""
    assert (200, EXPLAINED) == await explained(client, json={"url": "/"})
    assert [{"url": "/"}] == actions.explained


@pytest.mark.parametrize(
    ("options", "error", "status", "code"),
    [
        pytest.param({"headers": {"Origin": "http://x"}}, None, 403, "forbidden", id="a-page"),
        pytest.param({"data": b"{}"}, None, 415, "not_json", id="no-json"),
        pytest.param(
            {"data": b"{", "headers": {"Content-Type": "application/json"}},
            None,
            400,
            "bad_request",
            id="broken",
        ),
        pytest.param({"json": {}}, ValueError("url"), 400, "bad_request", id="no-question"),
        pytest.param({"json": {}}, StoreUnavailable("down"), 503, "store_unavailable", id="store"),
        pytest.param({"json": {}}, MagicUnavailable("down"), 503, "magic_unavailable", id="magic"),
    ],
)
async def test_what_is_no_question_is_not_explained(
    client: Client,
    actions: Deeds,
    options: dict[str, Any],
    error: Exception | None,
    status: int,
    code: str,
) -> None:
    """The answer says why."""
    actions.error = error
    found = await explained(client, **options)
    assert (status, code) == (found[0], found[1]["code"])
    assert [] == actions.explained


@pytest.mark.parametrize(
    ("error", "expected", "audited"),
    [
        (None, (200, "new.yaml"), [("new.yaml", "ok", "promoted")]),
        (NoCandidate("there is none"), (409, "no_candidate"), []),
        (
            ConfigError(["new.yaml:1: x", "new.yaml:2: y"]),
            (409, "not_promoted"),
            [("", "refused", "not_promoted")],
        ),
    ],
)
async def test_a_candidate_is_promoted(
    client: Client,
    actions: Deeds,
    trail: FakeTrail,
    error: Exception | None,
    expected: tuple[int, str],
    audited: list[tuple[str, str, str]],
) -> None:
    """Or the answer says why not, and nothing has changed; the audit file says who asked."""
    actions.error = error
    async with client.post("/api/promote", json={}) as answer:
        document = await answer.json(content_type=None)
    assert expected == (answer.status, document.get("config") or document["code"])
    assert error is None or str(error) == document["detail"]
    assert audited == [(each.subject, each.result, each.reason) for each in trail.entries]
    for each in trail.entries:
        assert (AuditEvent.CONFIG_RELOADED, "admin-api", "127.0.0.1") == each[:2] + each[3:4]
        assert ({"sha256": "ab"} if error is None else {}) == each.details


async def test_a_page_cannot_promote(client: Client) -> None:
    """No browser can, whatever sends it there."""
    for headers in ({"Origin": "null"}, {"Content-Type": "text/plain"}):
        async with client.post("/api/promote", headers=headers, data=b"{}") as answer:
            assert answer.status in {403, 415}
