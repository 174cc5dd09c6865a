"""Entries that operators add to lists at run time, over fakeredis, Valkey and Redis."""

import asyncio
import time
from ipaddress import ip_address

import pytest
from redis.asyncio import Redis

from gateway.core.errors import DeniedByLimit, StoreUnavailable
from gateway.core.limit import Limit
from gateway.ratelimit import list_store
from gateway.ratelimit.entry import read_entry
from gateway.ratelimit.list_store import KnownLists, ListKey, ListWatch, StoredEntry, StoredLists
from gateway.ratelimit.lists import LimitLists, ListKind
from gateway.store.redis import RedisStore
from gateway.util.background import background
from gateway.util.rfc3339 import LAST_MS
from tests.fakes.servers import eventually
from tests.fakes.store import FakeStore

API = Limit("api", 5, 60)
DENY, ALLOW = ListKey("api", ListKind.DENY), ListKey("api", ListKind.ALLOW)
HERE = read_entry("192.0.2.1")


def is_denied(lists: LimitLists) -> bool:
    """Whether the client at `HERE` is."""
    try:
        lists.refuse_address((API,), ip_address(HERE.text))
    except DeniedByLimit:
        return True
    return False


async def test_entries_are_added_read_and_removed(store: RedisStore, client: Redis) -> None:
    """Each list has a key of its own, named by what it is for and by the limit."""
    lists = StoredLists(store)
    assert await lists.add(DENY, HERE)
    assert await lists.add(DENY, read_entry("ada@example.com"))
    assert await lists.add(ALLOW, read_entry("10.0.0.0/8"))
    assert (StoredEntry("192.0.2.1"), StoredEntry("ada@example.com")) == await lists.read(DENY)
    assert (StoredEntry("10.0.0.0/8"),) == await lists.read(ALLOW)
    assert {b"gw:limit-deny:api", b"gw:limit-allow:api", b"gw:limit-lists"} == {
        *await client.keys()
    }
    assert await lists.remove(DENY, HERE)
    assert not await lists.remove(DENY, HERE)
    assert (StoredEntry("ada@example.com"),) == await lists.read(DENY)


async def test_an_entry_may_end(store: RedisStore, client: Redis) -> None:
    """Its end is told by our clock; after it, it is neither read nor kept."""
    lists = StoredLists(store)
    await lists.add(DENY, HERE, lifetime_s=60)
    [entry] = await lists.read(DENY)
    assert entry.ends_at_s is not None
    assert 50 < entry.ends_at_s - time.time() <= 61
    await lists.add(DENY, HERE)
    assert (StoredEntry("192.0.2.1"),) == await lists.read(DENY)
    await client.zadd("gw:limit-deny:api", {"192.0.2.1": 1})
    assert () == await lists.read(DENY)
    await lists.add(DENY, read_entry("192.0.2.2"))
    assert [b"192.0.2.2"] == await client.zrange("gw:limit-deny:api", 0, -1)


@pytest.mark.parametrize("end_ms", [LAST_MS + 60_000, 1e300])
async def test_an_end_after_all_that_can_be_written_is_none(
    store: RedisStore, client: Redis, end_ms: float
) -> None:
    """Apps and operators may write any score."""
    await client.zadd("gw:limit-deny:api", {"192.0.2.1": end_ms})
    assert (StoredEntry("192.0.2.1"),) == await StoredLists(store).read(DENY)


async def test_a_list_is_bounded(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full one takes no new entry; one that is on it may get another end."""
    monkeypatch.setattr(list_store, "MAX_ENTRIES", 2)
    lists = StoredLists(store)
    added = [await lists.add(DENY, read_entry(f"192.0.2.{last}")) for last in (1, 2, 3, 2)]
    assert [True, True, False, True] == added


async def test_each_change_is_noticed_by_another_version(store: RedisStore) -> None:
    """A gateway asks for that alone, where it hears of no change."""
    lists = StoredLists(store)
    seen = [await lists.version()]
    await lists.add(DENY, HERE)
    seen.append(await lists.version())
    await lists.remove(DENY, HERE)
    seen.append(await lists.version())
    assert 3 == len(set(seen))


async def test_a_gateway_follows_the_store(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At start, when it is told, and without being told after a while."""
    stored, lists, known = StoredLists(store), LimitLists(), KnownLists()
    await stored.add(DENY, HERE)
    watch = ListWatch(lists, stored, ["api"], known)
    await watch.refresh()
    assert is_denied(lists)
    async with background(watch.watch()):
        await stored.remove(DENY, HERE)
        watch.changed("api")

        async def is_over() -> bool:
            return not is_denied(lists)

        await eventually(is_over, within_s=10)
    monkeypatch.setattr(list_store, "LOOK_EVERY_S", 0.01)
    async with background(watch.watch()):
        await stored.add(DENY, HERE)

        async def is_there() -> bool:
            return is_denied(lists)

        await eventually(is_there, within_s=10)


async def test_an_entry_ends_at_its_time_at_a_gateway(store: RedisStore) -> None:
    """Long before the store is asked again."""
    stored, lists = StoredLists(store), LimitLists()
    watch, lifetime_s = ListWatch(lists, stored, ["api"], {}), 0.1
    async with asyncio.timeout(20):
        while not is_denied(lists):  # on a busy machine a short entry has ended before it is read
            lifetime_s *= 2
            await stored.add(DENY, HERE, lifetime_s=lifetime_s)
            await watch.refresh()

    async def is_over() -> bool:
        return not is_denied(lists)

    async with background(watch.watch()):
        await eventually(is_over, within_s=10)


async def test_other_texts_in_a_list_are_passed_over(
    store: RedisStore, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says how many there are, and shows none of them."""
    texts = (b"nonsense", b"\xff", HERE.text.encode())
    await client.zadd("gw:limit-deny:api", dict.fromkeys(texts, "inf"))
    lists = LimitLists()
    await ListWatch(lists, StoredLists(store), ["api"], {}).refresh()
    assert is_denied(lists)
    assert ["limit-deny:api has 2 entries that cannot be read"] == caplog.messages


async def test_a_key_that_is_no_list_stops_no_other(
    store: RedisStore, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """An app may have written a set; the log names the key, once."""
    lists, stored = LimitLists(), StoredLists(store)
    await client.sadd("gw:limit-allow:api", "192.0.2.1")
    await stored.add(DENY, HERE)
    watch = ListWatch(lists, stored, ["api", "other"], {})
    await watch.refresh()
    assert is_denied(lists)
    await watch.refresh()
    assert 1 == sum("limit-allow:api cannot be read" in each.message for each in caplog.records)

    await client.delete("gw:limit-allow:api")
    assert await watch._is_stale()
    await stored.add(ALLOW, HERE)
    await watch.refresh()
    assert () == lists.counted((API,), ip_address(HERE.text))


async def test_while_the_store_is_down_the_last_lists_stay() -> None:
    """Over a reload of the config, too; an entry ends at its time all the same."""
    now_s = [1_000.0]
    replies = {"deny": [b"1000000", b"192.0.2.1", b"1060000"], "allow": [b"1000000"]}
    store = FakeStore(
        lambda: now_s[0],
        {"list_read": lambda keys, _: replies[keys[0].split(":")[0].removeprefix("limit-")]},
    )
    stored, known = StoredLists(store, lambda: now_s[0]), KnownLists()
    await ListWatch(LimitLists(), stored, ["api"], known, lambda: now_s[0]).refresh()
    store.is_down = True
    lists = LimitLists()
    watch = ListWatch(lists, stored, ["api"], known, lambda: now_s[0])
    await watch.refresh()
    assert is_denied(lists)
    assert not await watch._is_stale()
    with pytest.raises(StoreUnavailable):
        await stored.read(DENY)
    now_s[0] += 60
    await watch.refresh()
    assert not is_denied(lists)
    store.is_down = False
    assert await watch._is_stale()


async def test_a_failure_ends_no_watch(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the lists are read at the next change."""
    calls: list[int] = []

    def reply(_keys: object, _args: object) -> object:
        calls.append(1)
        raise ValueError

    store = FakeStore(time.time, {"list_read": reply})
    watch = ListWatch(LimitLists(), StoredLists(store), ["api"], {})
    watch.changed()
    async with background(watch.watch()):

        async def is_logged() -> bool:
            return bool(caplog.messages)

        await eventually(is_logged, within_s=10)
    assert ["reading the lists of limits failed"] == caplog.messages
