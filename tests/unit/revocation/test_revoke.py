"""Revocation of an issuer, step by step."""

from collections.abc import Sequence

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.event import EventType, Notice
from gateway.core.identity import UNKNOWN_BROWSER, Browser, Identity, SessionEnd, SessionSummary
from gateway.core.issuer import FoundIssuers
from gateway.core.ports import Revocations, Sessions
from gateway.revocation.name import AcceptedNames, UnknownEmail
from gateway.revocation.revoke import Revocation, Revoked, Revoker
from tests.fakes.hooks import FakeEvents
from tests.fakes.tokens import ALICE, BOB


class World:
    """The ports behind a `Revoker`, and the calls to them, in order."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.is_down: set[str] = set()
        self.found = FoundIssuers(())
        self.notices: list[Notice] = []
        self.listed: Sequence[SessionSummary] | None = None

    def note(self, what: str, issuer: str) -> None:
        self.diary.append(f"{what} {issuer}")
        if what in self.is_down:
            raise StoreUnavailable

    async def epoch_ms(self, issuer: str) -> int | None:
        raise NotImplementedError

    def epoch_in(self, record: bytes | None, issuer: str) -> int | None:
        raise NotImplementedError(issuer, record)

    async def revoke(self, issuer: str, notices: Sequence[Notice] = ()) -> int:
        self.note("revoke", issuer)
        self.notices += notices
        return 5

    async def create(
        self, identity: Identity, browser: Browser = UNKNOWN_BROWSER
    ) -> tuple[str, Identity]:
        raise NotImplementedError

    async def find(self, cookie: str) -> Identity:
        raise NotImplementedError

    async def list_for(self, issuer: str) -> list[SessionSummary]:
        self.note("list", issuer)
        return [SessionSummary(f"id-{key}", key, UNKNOWN_BROWSER, 1, 1, 2) for key in ("a", "b")]

    async def end(
        self,
        session_key: str,
        issuer: str | None = None,
        notices: Sequence[Notice] = (),
        *,
        reason: SessionEnd = "signed_out",
    ) -> None:
        raise NotImplementedError

    async def unlist(self, session_key: str, issuer: str) -> None:
        raise NotImplementedError

    async def end_all(self, issuer: str, listed: Sequence[SessionSummary] | None = None) -> int:
        self.note("end", issuer)
        self.listed = listed
        return 2

    def log_out(self, issuer: str) -> None:
        self.note("log_out", issuer)

    async def issuers_of(self, email: str) -> FoundIssuers:
        self.note("look_up", email)
        return self.found


_: tuple[type[Revocations], type[Sessions]] = (World, World)


@pytest.fixture
def around() -> World:
    return World()


@pytest.fixture
def revoker(around: World) -> Revoker:
    accepted = AcceptedNames((), lambda name: name == "a.example")
    return Revoker(around, around, around.log_out, accepted, around.issuers_of)


async def test_the_epoch_is_set_first(around: World, revoker: Revoker) -> None:
    """For the canonical spelling of the issuer."""
    done = Revocation((Revoked(ALICE.issuer, 5, 2),))
    assert done == await revoker.revoke(ALICE.issuer.lower())
    expected = [f"{what} {ALICE.issuer}" for what in ("revoke", "log_out", "end")]
    assert expected == around.diary


@pytest.mark.parametrize("ended", [2, None])
async def test_a_revocation_is_told(around: World, ended: int | None) -> None:
    """By the step that revokes, with how many sessions it ends; they are looked for once."""
    accepted = AcceptedNames((), lambda name: name == "a.example")
    revoker = Revoker(around, around, around.log_out, accepted, around.issuers_of, FakeEvents())
    around.is_down = set() if ended else {"list"}
    await revoker.revoke(ALICE.issuer)
    data = {"reason": "revoked", "sessions": ended, "session": None}
    assert [Notice(EventType.SESSION_REVOKED, ALICE.issuer, data)] == around.notices
    assert [f"{what} {ALICE.issuer}" for what in ("list", "revoke")] == around.diary[:2]
    assert ended == (around.listed and len(around.listed))


async def test_a_failure_to_set_the_epoch_is_an_error(around: World, revoker: Revoker) -> None:
    """No session was ended then."""
    around.is_down = {"revoke"}
    with pytest.raises(StoreUnavailable):
        await revoker.revoke(ALICE.issuer)
    assert [f"revoke {ALICE.issuer}"] == around.diary


async def test_sessions_that_could_not_be_ended_are_revoked(
    around: World, revoker: Revoker
) -> None:
    """The epoch revokes them, so it is a success."""
    around.is_down = {"end"}
    assert Revocation((Revoked(ALICE.issuer, 5, 0),)) == await revoker.revoke(ALICE.issuer)


async def test_a_malformed_issuer_is_refused(around: World, revoker: Revoker) -> None:
    """Before any port is called."""
    with pytest.raises(ValueError, match="expected"):
        await revoker.revoke("did:ethr:0x1")
    assert [] == around.diary


@pytest.mark.parametrize("is_complete", [True, False])
async def test_all_issuers_of_an_email_are_revoked(
    around: World, revoker: Revoker, is_complete: bool
) -> None:
    """The result names each, and says whether there may be more."""
    around.found = FoundIssuers((ALICE.issuer, BOB.issuer), is_complete)
    done = (Revoked(ALICE.issuer, 5, 2), Revoked(BOB.issuer, 5, 2))
    expected = Revocation(done, "ada@example.com", is_complete)
    assert expected == await revoker.revoke(" Ada@example.com")
    assert expected == Revocation.from_json(expected.to_json())
    assert "look_up ada@example.com" == around.diary[0]
    assert {f"revoke {ALICE.issuer}", f"revoke {BOB.issuer}"} < set(around.diary)


async def test_an_email_of_no_user_is_refused(around: World, revoker: Revoker) -> None:
    """Nothing is written under the address."""
    with pytest.raises(UnknownEmail):
        await revoker.revoke("ada@example.com")
    assert ["look_up ada@example.com"] == around.diary


async def test_a_certificate_is_revoked_without_magic(around: World, revoker: Revoker) -> None:
    """Magic knows no programs, and is not asked to sign one out."""
    assert Revocation((Revoked("cert:a.example", 5, 2),)) == await revoker.revoke("cert:a.example")
    assert ["revoke cert:a.example", "end cert:a.example"] == around.diary
