"""The index of the issuers of each email address."""

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.sessions.email_index import MAX_OF_EMAIL, EmailIndex
from tests.fakes.memory import FakeClock
from tests.fakes.session_scripts import SessionScripts
from tests.fakes.store import FakeStore
from tests.fakes.tokens import ALICE, BOB

EMAIL = "ada@example.com"


@pytest.fixture
def store() -> FakeStore:
    return FakeStore(FakeClock())


@pytest.fixture
def scripts(store: FakeStore) -> SessionScripts:
    return SessionScripts(store)


@pytest.fixture
def index(store: FakeStore, scripts: SessionScripts) -> EmailIndex:
    return EmailIndex(store)


def _in_ms(store: FakeStore, seconds: float) -> int:
    return int((store.clock() + seconds) * 1000)


async def test_all_issuers_of_an_address_are_found(index: EmailIndex, store: FakeStore) -> None:
    """In whatever spelling Magic named the address at their sign-ins."""
    await index.add("Ada@Example.com", ALICE.issuer, _in_ms(store, 60))
    await index.add(EMAIL, BOB.issuer, _in_ms(store, 90))
    await index.add("other@example.com", "did:ethr:0x0", _in_ms(store, 60))
    assert (BOB.issuer, ALICE.issuer) == await index.issuers(EMAIL)
    assert () == await index.issuers("none@example.com")


async def test_the_latest_end_of_an_issuer_counts(
    index: EmailIndex, store: FakeStore, scripts: SessionScripts
) -> None:
    """A shorter session does not shorten the entry of a longer one."""
    await index.add(EMAIL, ALICE.issuer, _in_ms(store, 90))
    await index.add(EMAIL, ALICE.issuer, _in_ms(store, 60))
    assert {ALICE.issuer: _in_ms(store, 90)} == scripts.issuers[f"issuers-of:{EMAIL}"]


async def test_an_address_that_no_operator_can_type_is_not_indexed(
    index: EmailIndex, store: FakeStore, scripts: SessionScripts
) -> None:
    """Its session begins all the same."""
    await index.add("two words", ALICE.issuer, _in_ms(store, 60))
    assert {} == scripts.issuers


async def test_members_that_no_gateway_wrote_are_left_out(
    index: EmailIndex, scripts: SessionScripts
) -> None:
    """A revocation of them would void nothing."""
    scripts.issuers[f"issuers-of:{EMAIL}"] = {"x": 1, ALICE.issuer: 2}
    assert (ALICE.issuer,) == await index.issuers(EMAIL)


async def test_the_number_of_issuers_is_bounded(index: EmailIndex, store: FakeStore) -> None:
    """One more removes the one whose sessions end first."""
    issuers = [f"did:ethr:0x{number:040}" for number in range(MAX_OF_EMAIL + 1)]
    for number, issuer in enumerate(issuers):
        await index.add(EMAIL, issuer, _in_ms(store, 60 + number))
    assert set(issuers[1:]) == set(await index.issuers(EMAIL))


async def test_a_store_that_is_away_is_an_error(index: EmailIndex, store: FakeStore) -> None:
    """Unknown is not "none"."""
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        await index.issuers(EMAIL)
