"""Audit lines of denied requests."""

import pytest

from gateway.admin.access import (
    TOKEN_REQUIRED,
    WRONG_TOKEN,
    AdminAccess,
    AdminRequest,
    Denial,
)
from gateway.admin.denials import DenialTrail
from gateway.audit.sampling import MAX_A_SECOND, SAMPLE_S
from gateway.core.audit import AuditEntry, AuditEvent
from tests.fakes.audit import FakeTrail

TOKEN = "a token for tests that is long enough"
NOW_S = 1_800_000_000.0
HERE = {"Host": "localhost"}
PERSON = {
    "X-Gateway-Identity": '{"user": {"issuer": "did:ethr:0xA", "email": "ada@example.com"}}',
    "X-Gateway-Client": "192.0.2.9",
}
GUARDED = AdminAccess(frozenset({"localhost"}), TOKEN)
OPEN = AdminAccess(frozenset({"localhost"}))


class Desk:
    """Asks, and looks at the lines."""

    def __init__(self, access: AdminAccess = GUARDED) -> None:
        self.access = access
        self._trail = FakeTrail()
        self._denials = DenialTrail(self._trail)

    def asks(self, asked: AdminRequest, now_s: float = NOW_S) -> None:
        """Ask for what is denied."""
        denial = self.access.denial(asked, now_s)
        assert denial is not None
        self._denials.note(denial, asked, self.access, now_s)

    def is_told(self, denial: Denial, asked: AdminRequest) -> None:
        """Note a denial that another part has decided."""
        self._denials.note(denial, asked, self.access, NOW_S)

    @property
    def lines(self) -> list[AuditEntry]:
        """The lines that were written."""
        return self._trail.entries


def _drain(peer: str = "192.0.2.1", path: str = "/api/actions/drain", **more: str) -> AdminRequest:
    cookie = more.pop("cookie", "")
    return AdminRequest("POST", path, {**HERE, **more}, peer, cookie)


def test_a_line_says_who_asked_for_what_and_why_it_was_refused() -> None:
    """And has nothing of the token that was sent."""
    desk = Desk()
    desk.asks(_drain(Authorization="Bearer a wrong token"))
    [line] = desk.lines
    assert (AuditEvent.ADMIN_REFUSED, "refused", "wrong_token") == (
        line.event,
        line.result,
        line.reason,
    )
    assert ("unknown", "192.0.2.1", "/api/actions/drain") == (
        line.actor,
        line.origin,
        line.subject,
    )
    assert {"method": "POST", "why": WRONG_TOKEN.detail, "count": 1} == line.details
    assert "a wrong token" not in str(line)


@pytest.mark.parametrize(
    ("access", "asked", "reason", "actor", "origin"),
    [
        pytest.param(GUARDED, _drain(), TOKEN_REQUIRED, "unknown", "192.0.2.1", id="no-token"),
        pytest.param(
            GUARDED,
            _drain(cookie="12.3456"),
            TOKEN_REQUIRED,
            "unknown",
            "192.0.2.1",
            id="an-old-cookie",
        ),
        pytest.param(OPEN, _drain(), "not_local", "unknown", "192.0.2.1", id="another-machine"),
        pytest.param(
            OPEN,
            _drain("127.0.0.1", Host="evil.example"),
            "forbidden",
            "unknown",
            "127.0.0.1",
            id="foreign-host",
        ),
        pytest.param(
            GUARDED,
            _drain(cookie=GUARDED.cookie(NOW_S), Origin="https://evil.example"),
            "forbidden",
            "admin-api",
            "192.0.2.1",
            id="foreign-page-with-the-cookie",
        ),
        pytest.param(
            OPEN._replace(is_read_only=True),
            _drain("unix:"),
            "read_only",
            "admin-api",
            "unix:",
            id="read-only",
        ),
        pytest.param(
            AdminAccess(is_route=True),
            _drain(**{"X-Gateway-Client": "192.0.2.9"}),
            "forbidden",
            "unknown",
            "192.0.2.9",
            id="no-person",
        ),
        pytest.param(
            AdminAccess(is_route=True, is_read_only=True),
            _drain(**PERSON),
            "read_only",
            "did:ethr:0xA",
            "192.0.2.9",
            id="a-person",
        ),
    ],
)
def test_the_operator_is_named_where_there_is_a_proof(
    access: AdminAccess, asked: AdminRequest, reason: str, actor: str, origin: str
) -> None:
    """Else it is unknown; the address is that of the client."""
    desk = Desk(access)
    desk.asks(asked)
    [line] = desk.lines
    assert (reason, actor, origin) == (line.reason, line.actor, line.origin)
    assert (actor.startswith("did:")) == (line.details.get("email") == "ada@example.com")


def test_a_flood_has_one_line_a_minute() -> None:
    """It has the count; other places, reasons and addresses have lines of their own."""
    desk = Desk()
    wrong = _drain(Authorization="Bearer wrong")
    for _ in range(1000):
        desk.asks(wrong)
    assert [1] == [line.details["count"] for line in desk.lines]
    desk.asks(_drain(path="/api/actions/reload", Authorization="Bearer wrong"))
    desk.asks(_drain())
    desk.asks(wrong._replace(peer="192.0.2.2"))
    assert 4 == len(desk.lines)
    desk.asks(wrong, NOW_S + SAMPLE_S)
    assert 1000 == desk.lines[-1].details["count"]


def test_a_flood_from_a_whole_network_is_bounded() -> None:
    """All addresses of an IPv6 network count as one; all networks together have a bound."""
    desk = Desk()
    for number in range(100):
        desk.asks(_drain(f"2001:db8::{number:x}"))
    assert 1 == len(desk.lines)
    for number in range(100):
        desk.asks(_drain(f"192.0.2.{number}"))
    assert MAX_A_SECOND == len(desk.lines)


def test_opening_the_page_tries_nothing() -> None:
    """It asks for the token; a wrong one that comes along is told of."""
    desk = Desk()
    page = AdminRequest("GET", "/", HERE, "192.0.2.1")
    desk.asks(page)
    desk.asks(page._replace(headers={**HERE, "Authorization": "Basic b3BzOnB3"}))
    assert [] == desk.lines
    desk.asks(page._replace(headers={**HERE, "Authorization": "Bearer wrong"}))
    assert ["wrong_token"] == [line.reason for line in desk.lines]


def test_what_another_part_refuses_has_a_line() -> None:
    """Such as a line for the audit file that is not sealed."""
    desk = Desk()
    desk.is_told(Denial(400, "bad_request", "the line is too old"), _drain(path="/api/audit"))
    [line] = desk.lines
    assert ("/api/audit", "bad_request", "the line is too old") == (
        line.subject,
        line.reason,
        line.details["why"],
    )
