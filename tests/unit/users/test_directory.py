"""Who is a user, and who is asked for it."""

import asyncio
import json

import pytest

from gateway.core.errors import MagicUnavailable, StoreUnavailable, Unavailable
from gateway.core.identity import User
from gateway.users.directory import RETRY_S, CachedDirectory
from gateway.users.metadata import Record, RecordLifetimes, RecordSealer
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.tokens import ALICE, BOB

TTL_S = 3600.0
USER = User(ALICE.issuer, "alice@example.com", ALICE.address, None)
KEY = f"user:{ALICE.issuer}"
STALE_S = 600.0
LIFETIMES = RecordLifetimes(TTL_S, STALE_S)
SEALS = RecordSealer([b"k" * 32])
ENDLESS = 2**50


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


class Gateways:
    """Makes directories that share a store and tell each other, as gateways do."""

    def __init__(self, source: Source, store: MemoryStore, clock: FakeClock) -> None:
        self._source, self._store, self._clock = source, store, clock
        self._all: list[CachedDirectory] = []
        self.told: list[str] = []
        """The issuers whose records were said to have changed."""

    def another(self) -> CachedDirectory:
        self._all.append(
            CachedDirectory(
                self._source,
                self._store,
                SEALS,
                LIFETIMES,
                changed=self._tell,
                capacity=3,
                clock=self._clock,
            )
        )
        return self._all[-1]

    async def _tell(self, issuer: str) -> None:
        self.told.append(issuer)
        for each in self._all:
            each.forget(issuer)


@pytest.fixture
def gateways(source: Source, store: MemoryStore, clock: FakeClock) -> Gateways:
    return Gateways(source, store, clock)


@pytest.fixture
def directory(gateways: Gateways) -> CachedDirectory:
    return gateways.another()


async def settled(directory: CachedDirectory) -> None:
    """What goes on behind the callers' backs has come to its end."""
    await asyncio.wait_for(asyncio.gather(*directory._background), 5)


def written(user: User, at_s: float) -> tuple[bytes, int]:
    """What the store holds of ``user`` if Magic said so at ``at_s``."""
    return SEALS.encode(Record(user, int(at_s * 1000))), ENDLESS


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
    clock.now_s += 1
    store.values[KEY] = written(changed, clock())
    assert changed == await directory.user(ALICE.issuer)
    assert len(source.asked) == 1


async def test_known_to_another_gateway(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """What is in the store spares the call."""
    store.values[KEY] = written(USER, clock())
    assert await directory.user(ALICE.issuer) == USER
    assert source.asked == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            SEALS.encode(Record(User(BOB.issuer, "bob@example.com"), 1_800_000_000_000)),
            id="of-somebody-else",
        ),
        pytest.param(
            json.dumps({"issuer": ALICE.issuer, "email": "boss@example.com"}).encode(),
            id="without-a-seal",
        ),
        pytest.param(
            RecordSealer([b"x" * 32]).encode(
                Record(User(ALICE.issuer, "boss@example.com"), 1_800_000_000_000)
            ),
            id="sealed-by-another",
        ),
    ],
)
@pytest.mark.parametrize("is_user", [True, False])
async def test_record_that_no_gateway_wrote(
    text: bytes, directory: CachedDirectory, source: Source, store: MemoryStore, *, is_user: bool
) -> None:
    """It makes nobody a user, and nobody somebody else: Magic is asked, and its word written."""
    store.values[KEY] = (text, ENDLESS)
    if not is_user:
        source.users.clear()
    assert await directory.user(ALICE.issuer) == (USER if is_user else None)
    assert len(source.asked) == 1
    assert store.values[KEY][0] != text or not is_user


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


# --- stale while it is asked for anew ----------------------------------------------------------


AGEING_S = TTL_S * 0.8
NEW = User(ALICE.issuer, "new@example.com")


async def test_an_ageing_record_is_served_and_asked_for_anew(
    gateways: Gateways, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Nobody waits; the next one gets what Magic says now, at every gateway."""
    first, second = gateways.another(), gateways.another()
    await first.user(ALICE.issuer)
    await second.user(ALICE.issuer)
    source.users[ALICE.issuer] = NEW
    clock.now_s += AGEING_S
    assert await first.user(ALICE.issuer) == USER
    await settled(first)
    assert [await each.user(ALICE.issuer) for each in (first, second)] == [NEW, NEW]
    assert len(source.asked) == 2
    assert gateways.told == [ALICE.issuer, ALICE.issuer]
    value, ends_at_ms = store.values[KEY]
    assert json.loads(value)["email"] == "new@example.com"
    assert (clock() + TTL_S) * 1000 == ends_at_ms


async def test_a_young_record_is_left_alone(
    directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """Up to the last fifth of its life."""
    await directory.user(ALICE.issuer)
    clock.now_s += AGEING_S - 1
    assert await directory.user(ALICE.issuer) == USER
    assert (len(source.asked), directory._background) == (1, set())


async def test_many_gateways_ask_once(gateways: Gateways, source: Source, clock: FakeClock) -> None:
    """Of all that see a record age at one time, one asks Magic."""
    all_of_them = [gateways.another() for _ in range(5)]
    await all_of_them[0].user(ALICE.issuer)
    clock.now_s += AGEING_S
    source.gate = asyncio.Event()
    users = await asyncio.gather(*(each.user(ALICE.issuer) for each in all_of_them))
    assert users == [USER] * 5
    source.gate.set()
    for each in all_of_them:
        await settled(each)
    assert len(source.asked) == 2


async def test_what_has_not_changed_is_not_told(
    gateways: Gateways, directory: CachedDirectory, clock: FakeClock
) -> None:
    """A record that is as it was sends no message around."""
    await directory.user(ALICE.issuer)
    gateways.told.clear()
    clock.now_s += AGEING_S
    await directory.user(ALICE.issuer)
    await settled(directory)
    assert gateways.told == []


async def test_who_was_deleted_at_magic(
    gateways: Gateways, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Whom Magic no longer knows is nobody at any gateway, and in no record."""
    first, second = gateways.another(), gateways.another()
    await first.user(ALICE.issuer)
    await second.user(ALICE.issuer)
    source.users.clear()
    clock.now_s += AGEING_S
    await first.user(ALICE.issuer)
    await settled(first)
    assert await first.user(ALICE.issuer) is None
    assert await second.user(ALICE.issuer) is None
    assert KEY not in store.values


async def test_magic_is_down_for_a_day(
    gateways: Gateways, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Who was seen while the record aged is known for as long as the config says, everywhere."""
    first = gateways.another()
    await first.user(ALICE.issuer)
    began_s, source.is_down = clock(), True
    clock.now_s += AGEING_S
    await first.user(ALICE.issuer)
    await settled(first)
    _, ends_at_ms = store.values[KEY]
    assert (began_s + TTL_S + STALE_S) * 1000 == ends_at_ms
    clock.now_s = began_s + TTL_S + STALE_S - 1
    assert await gateways.another().user(ALICE.issuer) == USER
    clock.now_s += 1
    with pytest.raises(MagicUnavailable):
        await gateways.another().user(ALICE.issuer)


async def test_magic_is_not_asked_in_vain_again_and_again(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """While an old record can be served, callers wait for Magic once in some seconds."""
    store.values[KEY] = written(USER, clock() - TTL_S)
    source.is_down = True
    for _ in range(4):
        assert await directory.user(ALICE.issuer) == USER
        clock.now_s += 2
    assert len(source.asked) == 1
    clock.now_s += RETRY_S
    source.is_down, source.users[ALICE.issuer] = False, NEW
    assert await directory.user(ALICE.issuer) == NEW


async def test_an_old_record_is_not_served_where_magic_answers(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Put back by somebody, it makes nobody a user again."""
    store.values[KEY] = written(USER, clock() - TTL_S)
    source.users.clear()
    assert await directory.user(ALICE.issuer) is None
    assert KEY not in store.values


async def test_what_was_purged_does_not_come_back(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """With Magic down, a purged record is not written again from memory, nor served from it."""
    await directory.user(ALICE.issuer)
    source.is_down = True
    store.values.clear()
    directory.forget(ALICE.issuer)
    with pytest.raises(MagicUnavailable):
        await directory.user(ALICE.issuer)
    assert store.values == {}


# --- for sessions ------------------------------------------------------------------------------


AT_LOGIN = User(ALICE.issuer, "old@example.com")


async def test_latest(directory: CachedDirectory, source: Source, clock: FakeClock) -> None:
    """Who has a session is shown as Magic knows them now, a moment later, and nobody waits."""
    assert directory.latest(AT_LOGIN) == AT_LOGIN
    await settled(directory)
    assert directory.latest(AT_LOGIN) == USER
    source.users[ALICE.issuer] = NEW
    for _ in range(4):
        clock.now_s += AGEING_S / 3
        directory.latest(AT_LOGIN)
        await settled(directory)
        await settled(directory)
    assert directory.latest(AT_LOGIN) == NEW


async def test_latest_does_not_go_back(directory: CachedDirectory, source: Source) -> None:
    """While a change is looked up, nobody is shown as they were when they signed in."""
    await directory.user(ALICE.issuer)
    directory.forget(ALICE.issuer)
    assert directory.latest(AT_LOGIN) == USER


async def test_latest_asks_seldom(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """A session that is used all the time costs a look into the store twice a minute."""
    directory.latest(AT_LOGIN)
    await settled(directory)
    store.calls.clear()
    for _ in range(60):
        clock.now_s += 1
        directory.latest(AT_LOGIN)
        await settled(directory)
    assert len(store.calls) == 2


@pytest.mark.parametrize("down", ["source", "store"])
async def test_latest_without_an_answer(
    down: str, directory: CachedDirectory, source: Source, store: MemoryStore
) -> None:
    """With nobody to ask, what was known at login goes on, and Magic is not asked each time."""
    source.is_down, store.is_down = down == "source", down == "store"
    for _ in range(3):
        assert directory.latest(AT_LOGIN) == AT_LOGIN
        await settled(directory)
    assert len(source.asked) == (1 if down == "source" else 0)


async def test_latest_leaves_room(directory: CachedDirectory, source: Source) -> None:
    """However many have sessions, few look-ups that nobody waits for are under way."""
    source.gate = asyncio.Event()
    for number in range(50):
        directory.latest(User(f"did:ethr:0x{number:040x}"))
    await asyncio.sleep(0.01)
    assert len(source.asked) == 4
    await directory.aclose()


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
    assert len(directory._unknown) == 3


async def test_a_clock_that_goes_back(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """A copy from the future is not fresh."""
    await directory.user(ALICE.issuer)
    store.calls.clear()
    clock.now_s -= 10
    assert await directory.user(ALICE.issuer) == USER
    assert store.calls == [("get", KEY)]


async def test_store_down(directory: CachedDirectory, store: MemoryStore, clock: FakeClock) -> None:
    """Users known here pass for as long as metadata lives; others cannot be told."""
    await directory.user(ALICE.issuer)
    store.is_down = True
    clock.now_s += TTL_S + STALE_S - 1
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
    clock.now_s += RETRY_S
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
