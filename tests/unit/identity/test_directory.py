"""Who is a user, and who is asked for it."""

import asyncio
import json

import pytest

from gateway.errors import MagicUnavailable, StoreUnavailable, Unavailable
from gateway.identity.directory import CachedDirectory
from gateway.identity.metadata import encode_user
from gateway.messages import User
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.tokens import ALICE, BOB

TTL_S = 3600.0
USER = User(ALICE.issuer, "alice@example.com", ALICE.address, None)
KEY = f"user:{ALICE.issuer}"


class Source:
    """Magic, as far as a directory sees it."""

    def __init__(self) -> None:
        self.users = {USER.issuer: USER}
        self.asked: list[str] = []
        self.is_down = False
        self.gate: asyncio.Event | None = None
        """If set, answers wait for it."""

    async def user(self, issuer: str) -> User | None:
        self.asked.append(issuer)
        if self.gate is not None:
            await self.gate.wait()
        if self.is_down:
            raise MagicUnavailable("down")
        return self.users.get(issuer)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def directory(source: Source, store: MemoryStore, clock: FakeClock) -> CachedDirectory:
    return CachedDirectory(source, store, metadata_ttl_s=TTL_S, capacity=3, clock=clock)


async def test_first_sight(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Magic is asked, and its answer written where apps and other gateways find it."""
    assert await directory.user(ALICE.issuer) == USER
    value, ends_at_ms = store.values[KEY]
    assert json.loads(value)["email"] == "alice@example.com"
    assert (clock() + TTL_S) * 1000 == ends_at_ms
    assert [ALICE.issuer] == source.asked


async def test_fresh_copy(directory: CachedDirectory, source: Source, store: MemoryStore) -> None:
    """For a second nobody is asked."""
    user = await directory.user(ALICE.issuer)
    store.calls.clear()
    assert await directory.user(ALICE.issuer) is user
    assert store.calls == []
    assert len(source.asked) == 1


async def test_older_copy(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """After that the store is asked, and what it says now is what counts."""
    await directory.user(ALICE.issuer)
    changed = User(ALICE.issuer, "new@example.com")
    store.values[KEY] = (encode_user(changed), 2**50)
    clock.now_s += 1
    assert changed == await directory.user(ALICE.issuer)
    assert len(source.asked) == 1


async def test_known_to_another_gateway(
    directory: CachedDirectory, source: Source, store: MemoryStore
) -> None:
    """What is in the store spares the call."""
    store.values[KEY] = (encode_user(USER), 2**50)
    assert await directory.user(ALICE.issuer) == USER
    assert source.asked == []


async def test_record_of_somebody_else(
    directory: CachedDirectory, source: Source, store: MemoryStore
) -> None:
    """A record under the wrong key makes nobody somebody else: Magic is asked."""
    store.values[KEY] = (encode_user(User(BOB.issuer, "bob@example.com")), 2**50)
    assert await directory.user(ALICE.issuer) == USER
    assert len(source.asked) == 1


async def test_metadata_ends(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """When the record has ended, Magic is asked again; who it has forgotten is nobody."""
    await directory.user(ALICE.issuer)
    clock.now_s += TTL_S
    source.users.clear()
    assert await directory.user(ALICE.issuer) is None
    store.is_down = True
    clock.now_s += 61
    with pytest.raises(StoreUnavailable):
        await directory.user(ALICE.issuer)


async def test_strangers(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """That somebody is unknown is remembered for a minute, and here alone."""
    for _ in range(3):
        assert await directory.user(BOB.issuer) is None
    assert len(source.asked) == 1
    assert store.values == {}
    clock.now_s += 60
    source.users[BOB.issuer] = User(BOB.issuer)
    assert User(BOB.issuer) == await directory.user(BOB.issuer)


async def test_strangers_push_out_no_user(
    directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """However many issuers are made up, users stay known."""
    await directory.user(ALICE.issuer)
    for number in range(10):
        await directory.user(f"did:ethr:0x{number:040x}")
    source.is_down = True
    assert await directory.user(ALICE.issuer) == USER
    assert len(directory._strangers) == 3


async def test_a_clock_that_goes_back(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """A copy from the future is not fresh."""
    await directory.user(ALICE.issuer)
    store.calls.clear()
    clock.now_s -= 100
    assert await directory.user(ALICE.issuer) == USER
    assert store.calls == [("get", KEY)]


async def test_store_down(directory: CachedDirectory, store: MemoryStore, clock: FakeClock) -> None:
    """Users known here pass for as long as metadata lives; others cannot be told."""
    await directory.user(ALICE.issuer)
    store.is_down = True
    clock.now_s += TTL_S - 1
    assert await directory.user(ALICE.issuer) == USER
    with pytest.raises(StoreUnavailable):
        await directory.user(BOB.issuer)
    clock.now_s += 1
    with pytest.raises(StoreUnavailable):
        await directory.user(ALICE.issuer)


async def test_magic_down(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Users known here or in the store pass; others cannot be told, and that is not remembered."""
    await directory.user(ALICE.issuer)
    source.is_down = True
    clock.now_s += 2
    assert await directory.user(ALICE.issuer) == USER
    store.values.clear()
    clock.now_s += 2
    assert await directory.user(ALICE.issuer) == USER
    with pytest.raises(MagicUnavailable):
        await directory.user(BOB.issuer)
    source.is_down = False
    assert await directory.user(BOB.issuer) is None


async def test_store_that_takes_no_writes(
    directory: CachedDirectory, source: Source, store: MemoryStore
) -> None:
    """That Magic's answer could not be kept is no reason to refuse it."""
    store.refuses_writes = True
    assert await directory.user(ALICE.issuer) == USER
    assert await directory.user(ALICE.issuer) == USER
    assert len(source.asked) == 1


async def test_forget(directory: CachedDirectory, store: MemoryStore, source: Source) -> None:
    """What was forgotten here is asked anew, users and strangers alike."""
    for issuer in (ALICE.issuer, BOB.issuer):
        await directory.user(issuer)
        directory.forget(issuer)
    store.values.clear()
    source.users = {BOB.issuer: User(BOB.issuer)}
    assert await directory.user(ALICE.issuer) is None
    assert User(BOB.issuer) == await directory.user(BOB.issuer)


async def test_learn(directory: CachedDirectory, store: MemoryStore, source: Source) -> None:
    """Who was introduced is known here and to all others, without asking."""
    await directory.user(BOB.issuer)
    await directory.learn(User(BOB.issuer, "bob@example.com"))
    assert User(BOB.issuer, "bob@example.com") == await directory.user(BOB.issuer)
    assert f"user:{BOB.issuer}" in store.values
    assert len(source.asked) == 1


async def crowd(directory: CachedDirectory, source: Source) -> "list[asyncio.Task[User | None]]":
    """Five who ask for Alice while Magic thinks."""
    source.gate = asyncio.Event()
    waiters = [asyncio.create_task(directory.user(ALICE.issuer)) for _ in range(5)]
    while not source.asked:
        await asyncio.sleep(0)
    return waiters


async def test_a_crowd_makes_one_call(directory: CachedDirectory, source: Source) -> None:
    """The first page load of a new user asks Magic once; who gives up takes nobody along."""
    waiters = await crowd(directory, source)
    waiters[0].cancel()
    await asyncio.sleep(0)
    assert source.gate is not None
    source.gate.set()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert outcomes[1:] == [USER] * 4
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert len(source.asked) == 1


async def test_a_crowd_fails_together(directory: CachedDirectory, source: Source) -> None:
    """All are told that Magic is out of reach; the next one tries again."""
    waiters = await crowd(directory, source)
    source.is_down = True
    assert source.gate is not None
    source.gate.set()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    source.is_down = False
    assert await directory.user(ALICE.issuer) == USER


async def test_close(directory: CachedDirectory, source: Source) -> None:
    """Closing gives up what is being asked."""
    waiters = await crowd(directory, source)
    await directory.aclose()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
