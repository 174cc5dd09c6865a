"""Waiters for locks: in turn, bounded, and none is left behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.store.lock import LockLease, LockRefused
from gateway.store.lock_waiters import LockWaiters

SPACE = "service:shop"
Waiting = asyncio.Task[LockLease | LockRefused]
HELD, FULL = LockRefused(60_000), LockRefused(60_000, is_full=True)


class OneLock:
    """A lock that is held by a name or by none."""

    def __init__(self, holder: str = "") -> None:
        self.holder = holder
        self.got: list[str] = []
        """Those that acquired it, in order."""
        self.asked: list[str] = []
        self.left_ms = 60_000

    def attempt(self, holder: str) -> Callable[[], Awaitable[LockLease | LockRefused]]:
        async def attempt() -> LockLease | LockRefused:
            self.asked.append(holder)
            await asyncio.sleep(0)
            if self.holder:
                return LockRefused(self.left_ms)
            self.holder = holder
            self.got.append(holder)
            return LockLease(len(self.got), 1)

        return attempt


def is_wanted() -> bool:
    return True


async def begun(waiters: LockWaiters, lock: OneLock, holder: str, wait_s: float = 30) -> Waiting:
    """Let a waiter begin: it has asked, or stands in line."""
    task = asyncio.create_task(
        waiters.acquire(lock.attempt(holder), SPACE, "welcome", wait_s, is_wanted)
    )
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_waiters_acquire_it_in_their_order() -> None:
    """Each when the one before has released it, at once."""
    lock, waiters = OneLock("first"), LockWaiters()
    names = ["a", "b", "c", "d"]
    tasks = [await begun(waiters, lock, name) for name in names]
    for task in tasks:
        lock.holder = ""
        waiters.released(SPACE, "welcome")
        assert isinstance(await task, LockLease)
    assert names == lock.got


async def test_one_waiter_at_a_time_asks() -> None:
    """Of ten that wait for one lock; those of another lock have a line of their own."""
    lock, waiters = OneLock("first"), LockWaiters()
    tasks = [await begun(waiters, lock, str(number)) for number in range(10)]
    assert {"0"} == set(lock.asked)
    other = waiters.acquire(OneLock().attempt("x"), SPACE, "other", 30, is_wanted)
    assert isinstance(await other, LockLease)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_lease_that_ends_is_awaited() -> None:
    """The waiter asks again when it has ended, though nothing tells it."""
    lock, waiters = OneLock("first"), LockWaiters()
    lock.left_ms = 1
    task = await begun(waiters, lock, "a")
    lock.holder = ""
    assert isinstance(await task, LockLease)


@pytest.mark.parametrize("number", [1, 3])
async def test_a_wait_ends(number: int) -> None:
    """With how long the lease lasts, for the first in line and for those behind it."""
    lock, waiters = OneLock("first"), LockWaiters()
    tasks = [await begun(waiters, lock, str(each), 0.02) for each in range(number)]
    assert [HELD] * number == list(await asyncio.gather(*tasks))
    assert [] == lock.got


async def test_without_a_wait_there_is_one_attempt() -> None:
    """Whether others wait or not."""
    lock, waiters = OneLock("first"), LockWaiters()
    task = await begun(waiters, lock, "a")
    assert await waiters.acquire(lock.attempt("b"), SPACE, "welcome", 0, is_wanted) == HELD
    assert 1 == lock.asked.count("b")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_full_space_is_not_awaited() -> None:
    """The first answer stands."""

    async def attempt() -> LockRefused:
        return FULL

    assert FULL == await LockWaiters().acquire(attempt, SPACE, "welcome", 30, is_wanted)


async def test_a_caller_that_has_left_waits_no_more() -> None:
    """What is there for it would be held by none."""
    lock, waiters = OneLock("first"), LockWaiters()
    found = await waiters.acquire(lock.attempt("a"), SPACE, "welcome", 30, lambda: False)
    assert HELD == found


@pytest.mark.parametrize(("most", "most_in_space"), [(2, 9), (9, 2)])
async def test_the_number_of_waiters_is_bounded(most: int, most_in_space: int) -> None:
    """In all, and in one space; one more is told at once, and the places come free again."""
    lock, waiters = OneLock("first"), LockWaiters(most, most_in_space)
    tasks = [await begun(waiters, lock, name) for name in ("a", "b")]
    assert HELD == await waiters.acquire(lock.attempt("c"), SPACE, "welcome", 30, is_wanted)

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    lock.holder = ""
    task = await begun(waiters, lock, "d")
    assert isinstance(await task, LockLease)


async def test_a_cancelled_waiter_leaves_the_line() -> None:
    """The one behind it is next, and nothing is left when all have gone."""
    lock, waiters = OneLock("first"), LockWaiters()
    first, second = [await begun(waiters, lock, name) for name in ("a", "b")]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    lock.holder = ""
    waiters.released(SPACE, "welcome")
    assert isinstance(await second, LockLease)
    assert ["b"] == lock.got
    del first, second
    assert not waiters._lines
    assert not waiters._waiting


async def test_a_failure_is_the_callers() -> None:
    """The next in line goes on."""
    lock, waiters = OneLock("first"), LockWaiters()

    async def broken() -> LockRefused:
        raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        await waiters.acquire(broken, SPACE, "welcome", 30, is_wanted)
    lock.holder = ""
    assert isinstance(await (await begun(waiters, lock, "b")), LockLease)
