"""Marks of tokens that were exchanged."""

from gateway.core.identity import UNKNOWN_BROWSER, AuthMethod, Identity, User
from gateway.sessions.marks import TokenMarks, mark_of
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

PROVEN = Identity(User("did:ethr:0xAd"), AuthMethod.DID_TOKEN, "tid", 1_800_000_900_000)


async def test_a_token_counts_once() -> None:
    """Until its mark is taken back; the mark ends with the token."""
    store = FakeStore(FakeClock())
    marks = TokenMarks(store)
    assert await marks.record(PROVEN, UNKNOWN_BROWSER, "session:1")
    assert not await marks.record(PROVEN, UNKNOWN_BROWSER, "session:2")
    assert {"seen:did:ethr:0xAd:tid": (b"1", PROVEN.expires_at_ms)} == store.values
    await marks.take_back(PROVEN)
    assert mark_of(PROVEN) not in store.values
    assert await marks.record(PROVEN, UNKNOWN_BROWSER, "session:3")
