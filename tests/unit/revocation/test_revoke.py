"""What is done where somebody is revoked, and in which order."""

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import UNKNOWN_BROWSER, Browser, Identity, SessionSummary
from gateway.core.ports import Revocations, Sessions
from gateway.revocation.revoke import Revoked, Revoker
from tests.fakes.tokens import ALICE


class World:
    """The ports that are asked, and what they were asked, in order."""

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

    def farewell(self, issuer: str) -> None:
        self.note("farewell", issuer)


_: tuple[type[Revocations], type[Sessions]] = (World, World)


@pytest.fixture
def around() -> World:
    return World()


@pytest.fixture
def revoker(around: World) -> Revoker:
    return Revoker(around, around, around.farewell)


async def test_the_epoch_comes_first(around: World, revoker: Revoker) -> None:
    """By the name that identities have, however it was typed."""
    assert Revoked(ALICE.issuer, 5, 2) == await revoker.revoke(ALICE.issuer.lower())
    expected = [f"{what} {ALICE.issuer}" for what in ("revoke", "farewell", "end")]
    assert expected == around.diary


async def test_without_an_epoch_nothing_was_done(around: World, revoker: Revoker) -> None:
    """Whoever asked hears so."""
    around.is_down = {"revoke"}
    with pytest.raises(StoreUnavailable):
        await revoker.revoke(ALICE.issuer)
    assert [f"revoke {ALICE.issuer}"] == around.diary


async def test_sessions_that_could_not_be_ended_are_void(around: World, revoker: Revoker) -> None:
    """The epoch holds: it was done."""
    around.is_down = {"end"}
    assert Revoked(ALICE.issuer, 5, 0) == await revoker.revoke(ALICE.issuer)


async def test_what_is_no_issuer_is_refused(around: World, revoker: Revoker) -> None:
    """Before anything is done."""
    with pytest.raises(ValueError, match="expected"):
        await revoker.revoke("did:ethr:0x1")
    assert [] == around.diary
