"""The index of each issuer's sessions."""

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import Browser
from gateway.sessions.index import SessionIndex
from gateway.sessions.listing import SignIn
from gateway.sessions.seal import Sealer
from tests.fakes.memory import FakeClock
from tests.fakes.session_scripts import SessionScripts
from tests.fakes.store import FakeStore

ADA, BOB = "did:ethr:0xada", "did:ethr:0xb0b"
LAPTOP = Browser("Firefox on Linux", "192.0.2.1")


class IndexUnderTest:
    """An index over a store in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.lists = SessionScripts(self.store).lists
        self.index = self.sealed_with(b"k" * 32)

    def sealed_with(self, server_key: bytes) -> SessionIndex:
        return SessionIndex(self.store, Sealer([server_key]))

    def now_ms(self) -> int:
        return int(self.clock() * 1000)

    async def add(self, issuer: str, session_key: str, lifetime_s: int = 60) -> int:
        """List a session of ``issuer`` that begins now."""
        now_ms = self.now_ms()
        sign_in = SignIn(LAPTOP, now_ms)
        return await self.index.add(issuer, session_key, now_ms + lifetime_s * 1000, sign_in)

    async def listed(self, issuer: str) -> list[str]:
        """The keys of the sessions on the list."""
        return [entry.session_key for entry in await self.index.entries(issuer)]


@pytest.fixture
def around() -> IndexUnderTest:
    return IndexUnderTest()


async def test_an_entry_says_how_and_when_the_session_began(around: IndexUnderTest) -> None:
    """Its browser, its end, and the sign-in as the last use."""
    await around.add(ADA, "session:a")
    [entry] = await around.index.entries(ADA)
    began_ms = around.now_ms()
    assert (SignIn(LAPTOP, began_ms), began_ms, began_ms + 60_000) == (
        entry.sign_in,
        entry.seen_at_ms,
        entry.ends_at_ms,
    )


async def test_the_latest_sign_in_comes_first(around: IndexUnderTest) -> None:
    """An entry that does not open counts as the oldest."""
    await around.sealed_with(b"x" * 32).add(
        ADA, "session:other", around.now_ms() + 60_000, SignIn(LAPTOP, around.now_ms())
    )
    for name in "abc":
        around.clock.now_s += 1
        await around.add(ADA, f"session:{name}")
    assert ["session:c", "session:b", "session:a", "session:other"] == await around.listed(ADA)


async def test_issuers_have_lists_of_their_own(around: IndexUnderTest) -> None:
    """One list never shows sessions of another issuer."""
    await around.add(ADA, "session:a")
    assert [] == await around.listed(BOB)
    around.lists[f"sessions-of:{BOB}"] = dict(around.lists[f"sessions-of:{ADA}"])
    [moved] = await around.index.entries(BOB)
    assert moved.sign_in is None


async def test_adding_counts_the_sessions_that_have_not_expired(around: IndexUnderTest) -> None:
    """The limit on sessions of one user is applied to this number."""
    assert 1 == await around.add(ADA, "session:a", lifetime_s=10)
    assert 2 == await around.add(ADA, "session:b")
    around.clock.now_s += 10
    assert 2 == await around.add(ADA, "session:c")


async def test_use_is_recorded_for_listed_sessions_alone(around: IndexUnderTest) -> None:
    """A session that was removed does not come back by being used."""
    await around.add(ADA, "session:a")
    seen_ms = around.now_ms() + 5000
    await around.index.seen(ADA, "session:a", seen_ms)
    await around.index.seen(ADA, "session:gone", seen_ms)
    [entry] = await around.index.entries(ADA)
    assert ("session:a", seen_ms) == (entry.session_key, entry.seen_at_ms)


async def test_sessions_are_removed_from_the_list(around: IndexUnderTest) -> None:
    """With no session to remove, the store is not asked."""
    for name in "abc":
        await around.add(ADA, f"session:{name}")
    await around.index.remove(ADA, ["session:a", "session:c"])
    assert ["session:b"] == await around.listed(ADA)
    around.store.asked.clear()
    await around.index.remove(ADA, [])
    assert [] == around.store.asked


async def test_malformed_entries_are_left_out(around: IndexUnderTest) -> None:
    """An attacker with write access to the store can hide sessions, but not forge one."""
    await around.add(ADA, "session:a")
    around.lists[f"sessions-of:{ADA}"] |= {"session:x": b"junk", "session:y": b"-1 0 x"}
    assert ["session:a"] == await around.listed(ADA)


async def test_a_store_that_is_down_is_reported(around: IndexUnderTest) -> None:
    """An empty list would claim that there are no sessions."""
    around.store.is_down = True
    with pytest.raises(StoreUnavailable):
        await around.index.entries(ADA)
