"""Lines of commands on other machines, sent over a socket."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.access import AdminAccess
from gateway.admin.access_control import AccessControl
from gateway.admin.audit_api import AuditApi
from gateway.audit.switch import AuditSwitch
from gateway.core.errors import AuditUnavailable
from tests.fakes.audit import FakeTrail

Client = TestClient[web.Request, web.Application]
JSON = {"Content-Type": "application/json"}


class Receiver(AuditSwitch):
    """Takes lines as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.outcome: bool | Exception = True
        self.received: list[tuple[bytes, str]] = []

    async def receive(self, body: bytes, address: str, now_ms: int) -> bool:
        assert now_ms > 0
        if isinstance(self.outcome, Exception):
            raise self.outcome
        self.received.append((body, address))
        return self.outcome


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def trail() -> FakeTrail:
    return FakeTrail()


@pytest.fixture
async def client(receiver: Receiver, trail: FakeTrail) -> AsyncIterator[Client]:
    app = web.Application()
    control = AccessControl(lambda: AdminAccess(frozenset({"localhost"})), trail=trail)
    app.add_routes(AuditApi(receiver, control).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_line_is_received(client: Client, receiver: Receiver) -> None:
    """With the address that it came from."""
    async with client.post("/api/audit", data=b"x", headers=JSON) as answer:
        assert (204, "no-store") == (answer.status, answer.headers["Cache-Control"])
    assert [(b"x", "127.0.0.1")] == receiver.received


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (False, 404, "no_audit_file"),
        (ValueError("not sealed"), 400, "bad_request"),
        (AuditUnavailable("full"), 503, "audit_unavailable"),
    ],
)
async def test_a_line_is_not_received(
    client: Client, receiver: Receiver, outcome: bool | Exception, status: int, code: str
) -> None:
    """The command on the other machine tells its operator."""
    receiver.outcome = outcome
    async with client.post("/api/audit", data=b"x", headers=JSON) as answer:
        assert (status, code) == (answer.status, (await answer.json(content_type=None))["code"])


async def test_a_line_that_is_not_taken_is_told_of(
    client: Client, receiver: Receiver, trail: FakeTrail
) -> None:
    """By a line of the gateway: a forged one is a try; a full disk is none."""
    for outcome in (ValueError("the line was taken before"), AuditUnavailable("full"), False):
        receiver.outcome = outcome
        async with client.post("/api/audit", data=b"x", headers=JSON) as answer:
            assert answer.status >= 400
    [line] = trail.entries
    assert ("/api/audit", "bad_request", "127.0.0.1") == (line.subject, line.reason, line.origin)
    assert "the line was taken before" == line.details["why"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({**JSON, "Origin": "http://localhost"}, 403),
        ({**JSON, "Host": "evil.example"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
async def test_a_browser_is_refused(
    client: Client, receiver: Receiver, trail: FakeTrail, fields: dict[str, str], status: int
) -> None:
    """CSRF and DNS rebinding, as for the rest of the API."""
    async with client.post("/api/audit", data=b"x", headers=fields) as answer:
        assert status == answer.status
    assert [] == receiver.received
    assert (status == 403) == ("forbidden" in [line.reason for line in trail.entries])
