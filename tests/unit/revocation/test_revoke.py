"""Revocation of an issuer, step by step."""

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import UNKNOWN_BROWSER, Browser, Identity, SessionSummary
from gateway.core.ports import Revocations, Sessions
from gateway.revocation.revoke import Revoked, Revoker
from tests.fakes.tokens import ALICE


class World:
    """The ports behind a `Revoker`, and the calls to them, in order."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.is_down: set[str] = set()

    def note(self, what: str, issuer: str) -> None:
        self.diary.append(f"{what} {issuer}")
        if what in self.is_down:
            raise StoreUnavailable

    async def epoch_ms(self, issuer: str) -> int | None:
        raise NotImplementedError

    async def revoke(self, issuer: str) -> int:
        self.note("revoke", issuer)
        return 5

    async def create(
        self, identity: Identity, browser: Browser = UNKNOWN_BROWSER
    ) -> tuple[str, Identity]:
        raise NotImplementedError

    async def find(self, cookie: str) -> Identity:
        raise NotImplementedError

    async def list_for(self, issuer: str) -> list[SessionSummary]:
        raise NotImplementedError

    async def end(self, session_key: str, issuer: str | None = None) -> None:
        raise NotImplementedError

    async def unlist(self, session_key: str, issuer: str) -> None:
        raise NotImplementedError

    async def end_all(self, issuer: str) -> int:
        self.note("end", issuer)
        return 2

    def log_out(self, issuer: str) -> None:
        self.note("log_out", issuer)


_: tuple[type[Revocations], type[Sessions]] = (World, World)


@pytest.fixture
def around() -> World:
    return World()


@pytest.fixture
def revoker(around: World) -> Revoker:
    return Revoker(around, around, around.log_out)


async def test_the_epoch_is_set_first(around: World, revoker: Revoker) -> None:
    """For the canonical spelling of the issuer."""
    assert Revoked(ALICE.issuer, 5, 2) == await revoker.revoke(ALICE.issuer.lower())
    expected = [f"{what} {ALICE.issuer}" for what in ("revoke", "log_out", "end")]
    assert expected == around.diary


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
    assert Revoked(ALICE.issuer, 5, 0) == await revoker.revoke(ALICE.issuer)


async def test_a_malformed_issuer_is_refused(around: World, revoker: Revoker) -> None:
    """Before any port is called."""
    with pytest.raises(ValueError, match="expected"):
        await revoker.revoke("did:ethr:0x1")
    assert [] == around.diary
