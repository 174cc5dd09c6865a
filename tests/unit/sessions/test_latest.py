"""Sessions that a replica does not have yet."""

from collections.abc import Sequence

import pytest

from gateway.core.errors import SessionEnded, StoreUnavailable
from gateway.core.identity import AuthMethod, Identity, User
from gateway.sessions.absent import ended
from gateway.sessions.latest import LATEST
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from tests.fakes.memory import FakeClock
from tests.fakes.session_scripts import SessionScripts
from tests.fakes.store import FakeStore, Word

SEALER = Sealer([b"k" * 32])
TOKEN = Identity(User("did:ethr:0xAd"), AuthMethod.DID_TOKEN, "tid", 2**42)


class LaggingStore(FakeStore):
    """Reads see nothing of what was written; scripts run where everything is."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        SessionScripts(self)
        self.scripts[LATEST.name] = self._latest
        self.is_lagging = True

    async def get(self, key: str) -> bytes | None:
        value = await super().get(key)
        return None if self.is_lagging else value

    def _latest(self, keys: Sequence[str], _: Sequence[Word]) -> bytes | None:
        return self._living(keys[0])


@pytest.fixture
def store(clock: FakeClock) -> LaggingStore:
    return LaggingStore(clock)


def gateway(store: FakeStore, *, reads_lag: bool = True) -> RedisSessions:
    """One that has nothing in its memory."""
    return RedisSessions(store, SEALER, store.clock, reads_lag=reads_lag)


async def test_a_session_that_a_replica_does_not_have_is_asked_for_once_more(
    store: LaggingStore,
) -> None:
    """Of the server that has it; where reads do not lag, it has ended."""
    cookie, made = await gateway(store).create(TOKEN)
    sessions = gateway(store)

    assert made == await sessions.find(cookie)
    store.is_lagging = False
    sessions.forget(str(made.session_key))
    assert made == await sessions.find(cookie)
    store.is_lagging = True
    sessions.forget_all()
    assert made == await sessions.find(cookie)
    with pytest.raises(SessionEnded):
        await gateway(store, reads_lag=False).find(cookie)


async def test_a_session_that_is_there_is_not_asked_for_again(store: LaggingStore) -> None:
    """The second trip is for those that are absent, which is rare."""
    store.is_lagging = False
    cookie, _ = await gateway(store).create(TOKEN)

    await gateway(store).find(cookie)

    assert ("run", LATEST.name) not in store.asked


async def test_a_session_that_no_server_has_has_ended(store: LaggingStore) -> None:
    """The second answer is believed."""
    cookie, made = await gateway(store).create(TOKEN)
    await gateway(store).end(str(made.session_key))

    with pytest.raises(SessionEnded):
        await gateway(store).find(cookie)


async def test_tunnels_and_lists_ask_again_too(store: LaggingStore) -> None:
    """A lagging replica ends no tunnel, and takes no session from the list of its user."""
    _, made = await gateway(store).create(TOKEN)
    key, gone = str(made.session_key), "session:gone"

    assert {gone} == await ended(store, [key, gone], reads_lag=True)
    assert {key, gone} == await ended(store, [key, gone])
    assert [key] == [each.session_key for each in await gateway(store).list_for(made.user.issuer)]


async def test_a_store_that_does_not_answer_again_has_ended_nothing(store: LaggingStore) -> None:
    """Absent at a replica alone is not absent."""
    cookie, made = await gateway(store).create(TOKEN)

    def unavailable(_: Sequence[str], __: Sequence[Word]) -> object:
        raise StoreUnavailable("is down")

    store.scripts[LATEST.name] = unavailable

    with pytest.raises(StoreUnavailable):
        await gateway(store).find(cookie)
    assert frozenset() == await ended(store, [str(made.session_key)], reads_lag=True)
