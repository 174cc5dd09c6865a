"""Look-up of users: local cache, store, Magic."""

import asyncio
import gc
import json
import warnings

import pytest

from gateway.core.errors import MagicUnavailable, StoreUnavailable, Unavailable
from gateway.core.identity import Standing, User
from gateway.core.ports import StoredUser
from gateway.users.directory import RETRY_S, CachedDirectory
from gateway.users.known import KnownSealer
from gateway.users.metadata import Record, RecordLifetimes
from gateway.users.records import UserRecords
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.users import record_before

TTL_S = 3600.0
USER = User(ALICE.issuer, "alice@example.com", ALICE.address, None)
KEY = f"known:{ALICE.issuer}"
APPS_KEY = f"user:{ALICE.issuer}"
STALE_S = 600.0
LIFETIMES = RecordLifetimes(TTL_S, STALE_S)
SERVER_KEY = b"k" * 32
ENDLESS = 2**50
AT_MS = 1_800_000_000_000


class Source:
    """Magic as a directory sees it."""

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
    """Makes directories that share a store and notify each other, as gateways do."""

    def __init__(self, source: Source, store: MemoryStore, clock: FakeClock) -> None:
        self._source, self._store, self._clock = source, store, clock
        self._all: list[CachedDirectory] = []
        self.told: list[str] = []
        """The issuers that were reported as changed."""
        self.slept_s: list[float] = []
        """For how long each wait for another gateway took."""

    def another(self) -> CachedDirectory:
        self._all.append(
            CachedDirectory(
                self._source,
                UserRecords(self._store, [SERVER_KEY]),
                LIFETIMES,
                changed=self._tell,
                capacity=3,
                clock=self._clock,
                sleep=self._sleep,
            )
        )
        return self._all[-1]

    async def _sleep(self, length_s: float) -> None:
        self.slept_s.append(length_s)
        self._clock.now_s += length_s
        await asyncio.sleep(0)

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
    await asyncio.wait_for(asyncio.gather(*directory._background), 20)


def written(user: User, at_s: float) -> tuple[bytes, int]:
    """What the store holds of ``user`` if Magic said so at ``at_s``."""
    return sealed(user, int(at_s * 1000)), ENDLESS


def sealed(user: User, at_ms: int, server_key: bytes = SERVER_KEY) -> bytes:
    """The record that gateways keep."""
    return KnownSealer([server_key]).encode(Record(user, at_ms), b"n" * 12)


def email_in(store: MemoryStore, key: str = KEY) -> str | None:
    """The email in Alice's record."""
    stored = StoredUser(store.living(KEY), store.living(APPS_KEY))
    records = UserRecords(store, [SERVER_KEY])
    record = records.kept_in(stored, ALICE.issuer)
    if key == APPS_KEY:
        record = records.told.decode(stored.told or b"", ALICE.issuer)
    return None if record is None else record.user.email


async def test_a_new_user_is_looked_up_at_magic(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """The record is stored for other gateways; apps read it only while there is a proof."""
    assert await directory.user(ALICE.issuer) == USER
    assert email_in(store) == "alice@example.com"
    assert (clock() + TTL_S + STALE_S) * 1000 == store.values[KEY][1]
    assert [KEY] == list(store.values)
    assert [ALICE.issuer] == source.asked


async def test_copies_of_one_moment_do_not_go_stale_in_one_moment(
    source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """The store is asked for some of them earlier, and for none later than after a second."""
    records = UserRecords(store, [SERVER_KEY])
    directory = CachedDirectory(source, records, LIFETIMES, clock=clock)
    issuers = [f"did:ethr:0x{number}" for number in range(20)]
    for issuer in issuers:
        store.values[f"known:{issuer}"] = written(User(issuer), clock())
    asked = []
    for after_s in (0, 0.74, 0.13, 0.13):
        clock.now_s += after_s
        before = len(store.calls)
        for issuer in issuers:
            await directory.user(issuer)
        asked.append(len(store.calls) - before)

    assert [20, 0] == asked[:2]
    assert all(8 <= number <= 12 for number in asked[2:])


async def test_a_fresh_copy_is_served_without_the_store(
    directory: CachedDirectory, source: Source, store: MemoryStore
) -> None:
    """For a second."""
    user = await directory.user(ALICE.issuer)
    store.calls.clear()
    assert await directory.user(ALICE.issuer) is user
    assert store.calls == []
    assert len(source.asked) == 1


async def test_after_a_second_the_store_is_asked(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Its record replaces the copy."""
    await directory.user(ALICE.issuer)
    changed = User(ALICE.issuer, "new@example.com")
    clock.now_s += 1
    store.values[KEY] = written(changed, clock())
    assert changed == await directory.user(ALICE.issuer)
    assert len(source.asked) == 1


async def test_a_stored_record_saves_the_call_to_magic(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Another gateway has written it."""
    store.values[KEY] = written(USER, clock())
    assert await directory.user(ALICE.issuer) == USER
    assert source.asked == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(sealed(User(BOB.issuer, "bob@example.com"), AT_MS), id="of-another-issuer"),
        pytest.param(
            json.dumps({"issuer": ALICE.issuer, "email": "boss@example.com"}).encode(),
            id="without-a-seal",
        ),
        pytest.param(
            sealed(User(ALICE.issuer, "boss@example.com"), AT_MS, b"x" * 32),
            id="sealed-by-another",
        ),
    ],
)
@pytest.mark.parametrize("is_user", [True, False])
async def test_a_record_without_our_seal_is_ignored(
    text: bytes, directory: CachedDirectory, source: Source, store: MemoryStore, *, is_user: bool
) -> None:
    """Magic is asked, and its response is stored."""
    store.values[KEY] = (text, ENDLESS)
    if not is_user:
        source.users.clear()
    assert await directory.user(ALICE.issuer) == (USER if is_user else None)
    assert len(source.asked) == 1
    assert store.values[KEY][0] != text or not is_user


async def test_after_the_ttl_magic_is_asked_again(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """A user that it no longer knows is unknown."""
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


async def test_an_ageing_record_is_served_and_refreshed(
    gateways: Gateways, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """No caller waits; the next one gets the new metadata, at every gateway."""
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
    assert email_in(store) == "new@example.com"
    assert (clock() + TTL_S + STALE_S) * 1000 == store.values[KEY][1]


async def test_a_young_record_is_not_refreshed(
    directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """Up to the last fifth of its lifetime."""
    await directory.user(ALICE.issuer)
    clock.now_s += AGEING_S - 1
    assert await directory.user(ALICE.issuer) == USER
    assert (len(source.asked), directory._background) == (1, set())


async def test_one_gateway_refreshes_a_record(
    gateways: Gateways, source: Source, clock: FakeClock
) -> None:
    """Of all that see it age at one time."""
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


async def test_unchanged_metadata_is_not_published(
    gateways: Gateways, directory: CachedDirectory, clock: FakeClock
) -> None:
    """A record that is as it was sends no message around."""
    await directory.user(ALICE.issuer)
    gateways.told.clear()
    clock.now_s += AGEING_S
    await directory.user(ALICE.issuer)
    await settled(directory)
    assert gateways.told == []


async def test_a_user_deleted_at_magic_is_unknown_everywhere(
    gateways: Gateways, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """The record is deleted, too."""
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


async def test_stale_records_are_served_while_magic_is_down(
    gateways: Gateways, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """For as long as the config says, at every gateway."""
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


async def test_after_a_failure_magic_is_not_asked_for_ten_seconds(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Callers get the stale record meanwhile."""
    store.values[KEY] = written(USER, clock() - TTL_S)
    source.is_down = True
    for _ in range(4):
        assert await directory.user(ALICE.issuer) == USER
        clock.now_s += 2
    assert len(source.asked) == 1
    clock.now_s += RETRY_S
    source.is_down, source.users[ALICE.issuer] = False, NEW
    assert await directory.user(ALICE.issuer) == NEW


async def test_a_stale_record_is_not_served_while_magic_is_up(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Not even one that was put back into the store."""
    store.values[KEY] = written(USER, clock() - TTL_S)
    source.users.clear()
    assert await directory.user(ALICE.issuer) is None
    assert KEY not in store.values


async def test_a_deleted_record_is_not_restored_from_memory(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Neither stored nor served, even while Magic is down."""
    await directory.user(ALICE.issuer)
    source.is_down = True
    store.values.clear()
    directory.forget(ALICE.issuer)
    with pytest.raises(MagicUnavailable):
        await directory.user(ALICE.issuer)
    assert store.values == {}


# --- for sessions ------------------------------------------------------------------------------


AT_LOGIN = User(ALICE.issuer, "old@example.com")


async def test_latest_metadata_is_fetched_in_the_background(
    directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """A user with a session gets it a moment later."""
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


async def test_latest_serves_the_old_copy_during_a_look_up(
    directory: CachedDirectory, source: Source
) -> None:
    """Not the metadata of the sign-in."""
    await directory.user(ALICE.issuer)
    directory.forget(ALICE.issuer)
    assert directory.latest(AT_LOGIN) == USER


async def test_latest_reads_the_store_twice_a_minute(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """However often the session is used."""
    directory.latest(AT_LOGIN)
    await settled(directory)
    store.calls.clear()
    for _ in range(60):
        clock.now_s += 1
        directory.latest(AT_LOGIN)
        await settled(directory)
    assert [("get_pair", KEY)] * 2 == store.calls


async def test_latest_looks_no_unknown_user_up_for_a_minute(
    directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """A user that Magic has deleted may have a session, which is used in each request."""
    source.users.clear()
    directory.latest(AT_LOGIN)
    await settled(directory)
    for after_s in (0, 59):
        clock.now_s += after_s
        assert directory.latest(AT_LOGIN) is AT_LOGIN
        assert not directory._background
    clock.now_s += 1
    directory.latest(AT_LOGIN)
    await settled(directory)

    assert [ALICE.issuer] * 2 == source.asked


@pytest.mark.parametrize("down", ["source", "store"])
async def test_latest_keeps_the_metadata_while_magic_is_down(
    down: str, directory: CachedDirectory, source: Source, store: MemoryStore
) -> None:
    """Magic is not asked at each request."""
    source.is_down, store.is_down = down == "source", down == "store"
    for _ in range(3):
        assert directory.latest(AT_LOGIN) == AT_LOGIN
        await settled(directory)
    assert len(source.asked) == (1 if down == "source" else 0)


async def test_latest_has_few_look_ups_under_way(
    directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """However many users have sessions."""
    source.gate = asyncio.Event()
    for number in range(50):
        directory.latest(User(f"did:ethr:0x{number:040x}"))
        clock.now_s += 0.001
    await asyncio.sleep(0.01)
    assert len(source.asked) == 4
    await directory.aclose()


async def test_latest_leaves_the_turn_of_a_user_that_failed_to_another(
    directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """A user that Magic does not answer for, with many requests, delays no other user's check."""
    source.is_down = True
    directory.latest(AT_LOGIN)
    await settled(directory)
    source.is_down = False

    clock.now_s += 0.0011
    directory.latest(AT_LOGIN)
    directory.latest(User(BOB.issuer))
    await settled(directory)

    assert [ALICE.issuer, BOB.issuer] == source.asked


@pytest.mark.parametrize("set_back_s", [0, 3600])
async def test_latest_begins_one_look_up_in_a_millisecond(
    set_back_s: float, directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """Requests of many users go before what they can do without; a clock set back stops none."""
    asked = []
    for after_s in (0, 0.0005, 0.0006, -set_back_s, 0.0011):
        clock.now_s += after_s
        for number in range(10):
            directory.latest(User(f"did:ethr:0x{number}"))
        await settled(directory)
        asked.append(len(source.asked))

    assert ([1, 1, 2, 2, 3] if set_back_s == 0 else [1, 1, 2, 3, 4]) == asked


async def test_unknown_issuers_are_cached_for_a_minute(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """In this process alone."""
    for _ in range(3):
        assert await directory.user(BOB.issuer) is None
    assert len(source.asked) == 1
    assert store.values == {}
    clock.now_s += 60
    source.users[BOB.issuer] = User(BOB.issuer)
    assert User(BOB.issuer) == await directory.user(BOB.issuer)


async def test_unknown_issuers_evict_no_user(
    directory: CachedDirectory, source: Source, clock: FakeClock
) -> None:
    """However many are made up."""
    await directory.user(ALICE.issuer)
    for number in range(10):
        await directory.user(f"did:ethr:0x{number:040x}")
    source.is_down = True
    assert await directory.user(ALICE.issuer) == USER
    assert len(directory._unknown) == 3


async def test_a_clock_that_was_set_back_makes_no_copy_fresh(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """A copy from the future is not fresh."""
    await directory.user(ALICE.issuer)
    store.calls.clear()
    clock.now_s -= 10
    assert await directory.user(ALICE.issuer) == USER
    assert store.calls == [("get_pair", KEY)]


async def test_without_the_store_cached_users_are_served(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """For the lifetime of their metadata; others are unavailable."""
    await directory.user(ALICE.issuer)
    store.is_down = True
    clock.now_s += TTL_S + STALE_S - 1
    assert await directory.user(ALICE.issuer) == USER
    with pytest.raises(StoreUnavailable):
        await directory.user(BOB.issuer)
    clock.now_s += 1
    with pytest.raises(StoreUnavailable):
        await directory.user(ALICE.issuer)


async def test_without_magic_known_users_are_served(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Others are unavailable, which is not cached."""
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


async def test_a_read_only_store_refuses_no_user(
    directory: CachedDirectory, source: Source, store: MemoryStore
) -> None:
    """The record is not stored then."""
    store.refuses_writes = True
    assert await directory.user(ALICE.issuer) == USER
    assert await directory.user(ALICE.issuer) == USER
    assert len(source.asked) == 1


async def test_a_forgotten_issuer_is_looked_up_again(
    directory: CachedDirectory, store: MemoryStore, source: Source
) -> None:
    """Known and unknown ones."""
    for issuer in (ALICE.issuer, BOB.issuer):
        await directory.user(issuer)
        directory.forget(issuer)
    store.values.clear()
    source.users = {BOB.issuer: User(BOB.issuer)}
    assert await directory.user(ALICE.issuer) is None
    assert User(BOB.issuer) == await directory.user(BOB.issuer)


async def test_a_learned_user_is_known_everywhere(
    directory: CachedDirectory, store: MemoryStore, source: Source
) -> None:
    """Without a call to Magic."""
    await directory.user(BOB.issuer)
    await directory.learn(User(BOB.issuer, "bob@example.com"))
    assert User(BOB.issuer, "bob@example.com") == await directory.user(BOB.issuer)
    assert f"known:{BOB.issuer}" in store.values
    assert len(source.asked) == 1


async def crowd(directory: CachedDirectory, source: Source) -> "list[asyncio.Task[User | None]]":
    """Five who ask for Alice while Magic thinks."""
    source.gate = asyncio.Event()
    waiters = [asyncio.create_task(directory.user(ALICE.issuer)) for _ in range(5)]
    while not source.asked:
        await asyncio.sleep(0)
    return waiters


async def test_simultaneous_look_ups_make_one_call(
    directory: CachedDirectory, source: Source
) -> None:
    """Cancelling one of them does not affect the others."""
    waiters = await crowd(directory, source)
    waiters[0].cancel()
    await asyncio.sleep(0)
    assert source.gate is not None
    source.gate.set()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert outcomes[1:] == [USER] * 4
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert len(source.asked) == 1


async def test_a_failed_call_fails_all_its_callers(
    directory: CachedDirectory, source: Source
) -> None:
    """The next look-up tries again."""
    waiters = await crowd(directory, source)
    source.is_down = True
    assert source.gate is not None
    source.gate.set()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    source.is_down = False
    assert await directory.user(ALICE.issuer) == USER


async def test_closing_cancels_look_ups(directory: CachedDirectory, source: Source) -> None:
    """Closing gives up what is being asked."""
    waiters = await crowd(directory, source)
    await directory.aclose()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def test_a_gateway_that_stops_gives_its_lease_back(
    directory: CachedDirectory, source: Source, store: MemoryStore
) -> None:
    """Others would wait for what it does not write any more."""
    source.gate = asyncio.Event()
    asking = asyncio.create_task(directory.user(ALICE.issuer))
    while not source.asked:
        await asyncio.sleep(0)
    assert store.living(f"asking:{ALICE.issuer}") is not None

    await directory.aclose()

    assert store.living(f"asking:{ALICE.issuer}") is None
    await asyncio.wait([asking])


# --- proofs ------------------------------------------------------------------------------------


async def proven(directory: CachedDirectory, ends_at_s: float) -> User | None:
    """Alice, who has proven to be herself until then."""
    stored = await directory.read(ALICE.issuer)
    user = await directory.user(ALICE.issuer, stored)
    if user is not None:
        await directory.proven(ALICE.issuer, int(ends_at_s * 1000), stored)
    return user


async def test_apps_read_a_user_for_as_long_as_there_is_a_proof(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """What the gateways know stays for longer."""
    ends_at_s = clock() + 900
    assert USER == await proven(directory, ends_at_s)
    assert USER.email == email_in(store, APPS_KEY)
    assert ends_at_s * 1000 == store.values[APPS_KEY][1]
    clock.now_s = ends_at_s
    assert store.living(APPS_KEY) is None
    assert store.living(KEY) is not None


async def test_a_proof_that_says_nothing_new_writes_nothing(
    gateways: Gateways, store: MemoryStore, clock: FakeClock
) -> None:
    """Another gateway has written all."""
    await proven(gateways.another(), clock() + 900)
    store.calls.clear()
    await proven(gateways.another(), clock() + 800)
    assert [("get_pair", KEY)] == store.calls


async def test_apps_read_what_the_user_may_do(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """By the config and the store of roles; a change is written at the next proof."""
    for roles in ((), ("admin",), None):

        async def standing(_: User, roles: tuple[str, ...] | None = roles) -> Standing:
            return Standing(roles, roles and ("billing:read",))

        directory.standing = standing
        await proven(directory, clock() + 900)
        ours = json.loads(store.values[APPS_KEY][0])["gateway"]
        assert (None if roles is None else list(roles)) == ours["roles"]


async def test_what_a_cancelled_caller_learnt_is_written_by_the_next(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Without a further call to Magic while it is fresh, and without waiting for its own lease."""
    stored = await directory.read(ALICE.issuer)
    await directory.user(ALICE.issuer, stored)
    assert store.living(KEY) is None
    await proven(directory, clock() + 900)
    assert (USER.email, [ALICE.issuer]) == (email_in(store), source.asked)

    store.values.clear()
    clock.now_s += 2
    await directory.user(ALICE.issuer, await directory.read(ALICE.issuer))
    clock.now_s += 2
    await proven(directory, clock() + 900)
    assert (USER.email, 3) == (email_in(store), len(source.asked))


async def test_a_caller_that_is_cancelled_while_roles_are_read_takes_nothing_along(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """The next one writes what was learnt, and gives the lease back: others wait for that."""
    asked, gate = asyncio.Event(), asyncio.Event()

    async def standing(_: User) -> Standing:
        asked.set()
        await gate.wait()
        return Standing((), ())

    directory.standing = standing
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = asyncio.create_task(proven(directory, clock() + 900))
        await asked.wait()
        first.cancel()
        await asyncio.wait([first])
        gc.collect()
    gate.set()

    await directory.proven(ALICE.issuer, int(clock() + 900) * 1000)

    assert (USER.email, USER.email) == (email_in(store), email_in(store, APPS_KEY))
    assert {KEY, APPS_KEY} == store.values.keys()


async def test_what_was_learnt_earlier_does_not_replace_what_is_newer(
    gateways: Gateways, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """Another gateway has asked Magic since."""
    first, second = gateways.another(), gateways.another()
    await first.user(ALICE.issuer, await first.read(ALICE.issuer))
    store.values.clear()  # its lease
    source.users[ALICE.issuer] = NEW
    clock.now_s += 2
    assert NEW == await second.user(ALICE.issuer)
    assert NEW == await proven(first, clock() + 900)
    assert NEW.email == email_in(store)


async def test_nothing_is_written_of_a_user_that_was_forgotten(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """A proof of an issuer that is not known here says nothing to apps."""
    await directory.proven(ALICE.issuer, int(clock() + 900) * 1000)
    assert {} == store.values


async def test_a_session_shows_its_user_to_apps_until_it_ends(
    directory: CachedDirectory, store: MemoryStore, clock: FakeClock
) -> None:
    """Also one that began before apps were told, or when the record was deleted since."""
    ends_at_ms = int(clock() + 5000) * 1000
    directory.latest(AT_LOGIN, ends_at_ms)
    await settled(directory)
    assert ends_at_ms == store.values[APPS_KEY][1]
    del store.values[APPS_KEY]
    clock.now_s += 60
    directory.latest(AT_LOGIN, ends_at_ms)
    await settled(directory)
    assert ends_at_ms == store.values[APPS_KEY][1]


async def test_a_record_of_the_previous_version_is_replaced(
    directory: CachedDirectory, source: Source, store: MemoryStore, clock: FakeClock
) -> None:
    """By both records of today, without a call to Magic; apps read it until it would have ended."""
    before = record_before(USER, int(clock() * 1000), SERVER_KEY)
    store.values[APPS_KEY] = before, int(clock() + 60) * 1000
    assert USER == await directory.user(ALICE.issuer)
    assert (USER.email, USER.email) == (email_in(store), email_in(store, APPS_KEY))
    assert store.values[APPS_KEY][0] != before
    assert int(clock() + 60) * 1000 == store.values[APPS_KEY][1]
    assert [] == source.asked


# --- one gateway asks for all ------------------------------------------------------------------


async def test_of_two_gateways_one_asks_magic(gateways: Gateways, source: Source) -> None:
    """The other gets what that writes."""
    first, second = gateways.another(), gateways.another()
    source.gate = asyncio.Event()
    asking = asyncio.create_task(first.user(ALICE.issuer))
    while not source.asked:
        await asyncio.sleep(0)
    waiting = asyncio.create_task(second.user(ALICE.issuer))
    while len(gateways.slept_s) < 3:
        await asyncio.sleep(0)
    source.gate.set()
    assert [USER, USER] == [await asking, await waiting]
    assert [ALICE.issuer] == source.asked


@pytest.mark.parametrize("is_down", [False, True])
async def test_a_gateway_whose_other_learnt_nothing_asks_itself(
    gateways: Gateways, source: Source, *, is_down: bool
) -> None:
    """What Magic does not know, or did not say, is not shared."""
    first, second = gateways.another(), gateways.another()
    source.gate, source.is_down = asyncio.Event(), is_down
    asking = asyncio.create_task(first.user(BOB.issuer))
    while not source.asked:
        await asyncio.sleep(0)
    waiting = asyncio.create_task(second.user(BOB.issuer))
    while not gateways.slept_s:
        await asyncio.sleep(0)
    source.gate.set()
    outcomes = await asyncio.gather(asking, waiting, return_exceptions=True)
    assert [MagicUnavailable if is_down else type(None)] * 2 == list(map(type, outcomes))
    assert [BOB.issuer] * 2 == source.asked
