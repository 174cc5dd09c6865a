"""Locks over every kind of store: holders, leases, fences, bounds."""

import asyncio
import time
from typing import cast

import pytest
from redis.asyncio import Redis

from gateway.store.lock import KEPT_MS, MAX_LEASE_MS, LockLease, LockRefused, Locks
from gateway.store.redis import RedisStore

LEASE_MS = 60_000


@pytest.fixture
def locks(store: RedisStore) -> Locks:
    return Locks(store, "service:shop")


async def taken(locks: Locks, name: str, holder: str, lease_ms: int = LEASE_MS) -> LockLease:
    """Acquire a lock that is free."""
    lease = await locks.acquire(name, holder, lease_ms)
    assert isinstance(lease, LockLease)
    return lease


async def lapsed(locks: Locks, name: str, holder: str) -> LockLease:
    """A lock whose lease ends at once."""
    lease = await taken(locks, name, holder, 1)
    while time.time() * 1000 <= lease.ends_at_ms + 1:
        await asyncio.sleep(0)
    return lease


async def test_a_lock_has_one_holder(locks: Locks) -> None:
    """Others learn how long its lease lasts; it is free when it is released."""
    lease = await taken(locks, "welcome", "a")
    refused = await locks.acquire("welcome", "b", LEASE_MS)
    assert isinstance(refused, LockRefused)
    assert 0 < refused.left_ms <= LEASE_MS
    assert not refused.is_full
    await taken(locks, "other", "b")

    assert await locks.release("welcome", "a", lease.fence)
    assert (await taken(locks, "welcome", "b")).fence > lease.fence


async def test_one_of_many_acquires_it(locks: Locks) -> None:
    """All ask at one time."""
    found = await asyncio.gather(
        *(locks.acquire("welcome", f"run {number}", LEASE_MS) for number in range(20))
    )
    assert 1 == sum(isinstance(each, LockLease) for each in found)


async def test_an_acquisition_may_be_repeated(locks: Locks) -> None:
    """By its holder, who has lost the reply: the fence stays, the lease begins anew."""
    first = await taken(locks, "welcome", "a", LEASE_MS // 2)
    again = await taken(locks, "welcome", "a", LEASE_MS)
    assert first.fence == again.fence
    assert again.ends_at_ms > first.ends_at_ms


async def test_a_lease_is_renewed(locks: Locks) -> None:
    """From now on, with the same fence."""
    lease = await taken(locks, "welcome", "a", LEASE_MS // 2)
    renewed = await locks.renew("welcome", "a", lease.fence, LEASE_MS)
    assert renewed is not None
    assert (lease.fence, True) == (renewed.fence, renewed.ends_at_ms > lease.ends_at_ms)


async def test_a_late_holder_changes_nothing(locks: Locks) -> None:
    """Whether another has acquired the lock since, or none has."""
    late = await lapsed(locks, "welcome", "a")
    assert await locks.renew("welcome", "a", late.fence, LEASE_MS) is None
    assert not await locks.release("welcome", "a", late.fence)

    later = await taken(locks, "welcome", "b")
    assert later.fence > late.fence
    assert await locks.renew("welcome", "a", late.fence, LEASE_MS) is None
    assert not await locks.release("welcome", "a", late.fence)
    assert await locks.release("welcome", "b", later.fence)


async def test_holder_and_fence_must_both_be_right(locks: Locks) -> None:
    """One alone neither renews nor releases."""
    lease = await taken(locks, "welcome", "a b")
    for holder, fence in (("a", lease.fence), ("a b", lease.fence - 1), ("a b", lease.fence + 1)):
        assert await locks.renew("welcome", holder, fence, LEASE_MS) is None
        assert not await locks.release("welcome", holder, fence)
    assert await locks.release("welcome", "a b", lease.fence)
    assert not await locks.release("welcome", "a b", lease.fence), "it is released once"


async def test_two_spaces_do_not_meet(locks: Locks, store: RedisStore) -> None:
    """A name is another lock in each."""
    lease = await taken(locks, "welcome", "a")
    other = Locks(store, "service:mail")
    await taken(other, "welcome", "b")
    assert await other.renew("welcome", "a", lease.fence, LEASE_MS) is None
    assert await locks.release("welcome", "a", lease.fence)


async def test_fences_rise_where_the_counter_is_lost(locks: Locks, client: Redis) -> None:
    """A fence is not below the time, which goes on after a failover or a month of disuse."""
    lease = await lapsed(locks, "welcome", "a")
    for key in await client.keys("*"):
        await client.delete(key)
    assert (await taken(locks, "welcome", "b")).fence > lease.fence


async def test_fences_rise_where_the_clock_went_back(locks: Locks, client: Redis) -> None:
    """The counter goes on."""
    ahead = 9_000_000_000_000
    await client.set("gw:locks:fence:{service:shop}", ahead)
    assert [ahead + 1, ahead + 2] == [
        (await taken(locks, name, "a")).fence for name in ("welcome", "mail")
    ]


async def test_the_number_of_locks_is_bounded(store: RedisStore) -> None:
    """Those that are held count; one whose lease has ended does not."""
    locks = Locks(store, "service:shop", max_held=2)
    await lapsed(locks, "first", "a")
    lease = await taken(locks, "second", "a")
    await taken(locks, "third", "a", 2 * LEASE_MS)
    full = await locks.acquire("fourth", "a", LEASE_MS)
    assert isinstance(full, LockRefused)
    assert full.is_full
    assert 0 < full.left_ms <= LEASE_MS, "the first to end"
    await taken(locks, "second", "a")

    assert await locks.release("second", "a", lease.fence)
    await taken(locks, "fourth", "a")


async def test_what_is_kept_ends(locks: Locks, client: Redis) -> None:
    """A month after the last use; of a released lock the counter alone is left."""
    lease = await taken(locks, "welcome", "a")
    keys = {f"gw:locks:{part}:{{service:shop}}".encode() for part in ("held", "ends", "fence")}
    assert keys == set(await client.keys("*"))
    for key in keys:
        assert KEPT_MS < await client.pttl(key) <= KEPT_MS + LEASE_MS
    await locks.release("welcome", "a", lease.fence)
    assert [b"gw:locks:fence:{service:shop}"] == await client.keys("*")


@pytest.mark.parametrize("lease_ms", [0, -1, MAX_LEASE_MS + 1])
async def test_a_lease_is_bounded(lease_ms: int) -> None:
    """An hour is the most: the store is not asked for more."""
    locks = Locks(cast("RedisStore", None), "service:shop")
    with pytest.raises(ValueError, match="lease"):
        await locks.acquire("welcome", "a", lease_ms)
    with pytest.raises(ValueError, match="lease"):
        await locks.renew("welcome", "a", 1, lease_ms)
