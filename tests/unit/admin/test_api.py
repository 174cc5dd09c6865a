"""The operators' API, asked over a socket."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.api import Api
from gateway.core.errors import MagicUnavailable, StoreUnavailable
from gateway.revocation.name import NotRevocable, RevocationRefused, UnknownEmail
from gateway.revocation.revoke import Revocation, Revoked

ISSUER, EMAIL = "did:ethr:0xAd", "ada@example.com"
DONE = Revoked(ISSUER, 1_800_000_000_400, 3)

Client = TestClient[web.Request, web.Application]


class Deeds:
    """Records which issuers were revoked, and fails as told."""

    def __init__(self) -> None:
        self.revoked: list[str] = []
        self.error: Exception | None = None

    async def revoke(self, name: str) -> Revocation:
        if self.error is not None:
            raise self.error
        self.revoked.append(name)
        if name == EMAIL:
            return Revocation((DONE, DONE._replace(issuer="did:ethr:0xB0", sessions=0)), EMAIL)
        return Revocation((DONE._replace(issuer=name),))


@pytest.fixture
def actions() -> Deeds:
    return Deeds()


@pytest.fixture
async def client(actions: Deeds) -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(Api(actions, frozenset({"localhost"})).routes())
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
