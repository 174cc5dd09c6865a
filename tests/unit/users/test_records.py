"""Both records of a user, over a store in memory; the contract suite has the real ones."""

import json

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import Standing, User
from gateway.core.ports import StoredUser
from gateway.users.metadata import Record
from gateway.users.records import UserRecords, key_of, untell
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.tokens import ALICE
from tests.fakes.users import record_before

SERVER_KEY = b"k" * 32
AT_MS = 1_800_000_000_000
RECORD = Record(User(ALICE.issuer, "alice@example.com"), AT_MS)
OLDER = Record(User(ALICE.issuer, "old@example.com"), AT_MS - 1000)


@pytest.fixture
def records(store: MemoryStore) -> UserRecords:
    return UserRecords(store, [SERVER_KEY])


def soon_ms(clock: FakeClock) -> int:
    """In a minute."""
    return int(clock() + 60) * 1000


async def test_the_gateways_own_record_goes_before_the_one_for_apps(
    records: UserRecords, clock: FakeClock
) -> None:
    """The latter is as old as the last proof."""
    await records.tell(OLDER, Standing(), soon_ms(clock))
    assert OLDER == records.record_in(await records.read(ALICE.issuer), ALICE.issuer)
    await records.keep(RECORD, soon_ms(clock))
    stored = await records.read(ALICE.issuer)
    assert RECORD == records.record_in(stored, ALICE.issuer)
    assert RECORD == records.kept_in(stored, ALICE.issuer)


async def test_a_record_of_the_previous_version_makes_a_user(
    records: UserRecords, store: MemoryStore, clock: FakeClock
) -> None:
    """Its seal says that a gateway wrote it."""
    text = record_before(RECORD.user, AT_MS, SERVER_KEY)
    store.values[key_of(ALICE.issuer)] = text, soon_ms(clock)
    stored = await records.read(ALICE.issuer)
    assert RECORD == records.record_in(stored, ALICE.issuer)
    assert records.kept_in(stored, ALICE.issuer) is None


async def test_a_store_that_is_down_is_told_as_such(
    records: UserRecords, store: MemoryStore
) -> None:
    """Reading never fails: its caller may know the user."""
    store.is_down = True
    stored = await records.read(ALICE.issuer)
    assert isinstance(stored.failure, StoreUnavailable)
    assert StoredUser(None, None, stored.failure) == stored


async def test_what_apps_read_says_when_it_ends(
    records: UserRecords, store: MemoryStore, clock: FakeClock
) -> None:
    """The key ends then, too."""
    await records.tell(RECORD, Standing(("admin",), ("billing:read",)), soon_ms(clock))
    text, ends_at_ms = store.values[key_of(ALICE.issuer)]
    assert soon_ms(clock) == ends_at_ms == json.loads(text)["gateway"]["until"]


async def test_both_records_are_dropped(records: UserRecords, clock: FakeClock) -> None:
    """The result says whether there was one."""
    assert not await records.drop(ALICE.issuer)
    await records.keep(RECORD, soon_ms(clock))
    assert await records.drop(ALICE.issuer)
    await records.tell(RECORD, Standing(), soon_ms(clock))
    assert await records.drop(ALICE.issuer)
    assert StoredUser(None, None) == await records.read(ALICE.issuer)


async def test_a_revocation_takes_what_apps_read(
    records: UserRecords, store: MemoryStore, clock: FakeClock
) -> None:
    """What the gateways know stays."""
    await records.keep(RECORD, soon_ms(clock))
    await records.tell(RECORD, Standing(), soon_ms(clock))
    assert await untell(store, ALICE.issuer)
    assert not await untell(store, ALICE.issuer)
    assert RECORD == records.record_in(await records.read(ALICE.issuer), ALICE.issuer)
