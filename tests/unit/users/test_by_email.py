"""The look-up of the issuers of an email address, in the index and at Magic."""

import pytest

from gateway.core.errors import MagicUnavailable
from gateway.core.issuer import FoundIssuers
from gateway.sessions.email_index import EmailIndex
from gateway.users.by_email import IssuersByEmail
from tests.fakes.memory import FakeClock
from tests.fakes.session_scripts import SessionScripts
from tests.fakes.store import FakeStore
from tests.fakes.tokens import ALICE, BOB

EMAIL = "ada@example.com"


class Source:
    """A source that knows ``known``; None stands for one that is not reached."""

    def __init__(self, *known: str) -> None:
        self.known: tuple[str, ...] | None = known

    async def issuers(self, email: str) -> tuple[str, ...]:
        if self.known is None:
            raise MagicUnavailable("down")
        return self.known if email == EMAIL else ()


@pytest.fixture
async def index() -> EmailIndex:
    """An index in which Alice has signed in."""
    store = FakeStore(FakeClock())
    SessionScripts(store)
    index = EmailIndex(store)
    await index.add(EMAIL, ALICE.issuer, int((store.clock() + 60) * 1000))
    return index


async def test_issuers_of_both_are_found(index: EmailIndex) -> None:
    """Each once: some have signed in, some use tokens alone."""
    found = await IssuersByEmail(index, Source(ALICE.issuer, BOB.issuer)).find(EMAIL)
    assert FoundIssuers(tuple(sorted((ALICE.issuer, BOB.issuer)))) == found


async def test_the_index_is_enough_without_magic(index: EmailIndex) -> None:
    """In development mode there is none."""
    assert FoundIssuers((ALICE.issuer,)) == await IssuersByEmail(index, None).find(EMAIL)


async def test_without_an_answer_of_magic_issuers_may_be_missing(index: EmailIndex) -> None:
    """The result says so; where the index knows none, nothing is known."""
    source = Source()
    source.known = None
    by_email = IssuersByEmail(index, source)
    assert FoundIssuers((ALICE.issuer,), is_complete=False) == await by_email.find(EMAIL)
    with pytest.raises(MagicUnavailable):
        await by_email.find("bob@example.com")


async def test_an_address_of_no_user(index: EmailIndex) -> None:
    """Neither knows it."""
    assert FoundIssuers(()) == await IssuersByEmail(index, Source()).find("bob@example.com")
