"""Leases over a store in memory: when they are taken, renewed and ended."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit
from gateway.ratelimit import leases as module
from gateway.ratelimit.concurrency import grant
from gateway.ratelimit.leases import RedisLeases
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore, Word

LEASE_S = 60
TWO = Limit("two", 2, LEASE_S, algorithm="concurrency")


class LeaseServer:
    """What the script does, and what it was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.held: dict[str, dict[str, float]] = {}
        self.renewals = 0

    def run(self, keys: Sequence[str], args: Sequence[Word]) -> object:
        [key], (most, length_ms, ended, renewed, *ids) = keys, map(str, args)
        taken = ids[int(ended) + int(renewed) :]
        now_s, held = self.clock(), self.held.setdefault(key, {})
        for each in [each for each, ends_s in held.items() if ends_s <= now_s]:
            del held[each]
        for each in ids[: int(ended)]:
            held.pop(str(each), None)
        ends_s = now_s + int(length_ms) / 1000
        self.renewals += int(renewed)
        held.update((str(each), ends_s) for each in ids[int(ended) : int(ended) + int(renewed)])
        granted = grant(Limit("any", int(most), 1), len(held), len(taken))
        held.update((str(each), ends_s) for each in taken[:granted])
        return [int(now_s * 1000), granted, len(held)]

    @property
    def count(self) -> int:
        """Number of leases of all callers."""
        return sum(map(len, self.held.values()))


class Running:
    """Leases of one process, over a server that others may share."""

    def __init__(self, clock: FakeClock, server: LeaseServer) -> None:
        self.clock = clock
        self.server = server
        self.store = FakeStore(clock, {"concurrency": server.run})
        self.leases = RedisLeases(self.store, clock)

    async def passes(self, limit: Limit = TWO, caller: str = "a") -> bool:
        """Whether one more passes; it ends at once."""
        lease = await self.leases.take(limit, caller)
        lease.release()
        await settled()
        return lease.state.allowed

    async def look(self) -> float:
        """Let the next look at the leases happen now; return in how many seconds it was due."""
        timer = self.leases._timer
        assert timer is not None
        after_s = timer.when() - asyncio.get_running_loop().time()
        timer.cancel()
        self.clock.now_s += after_s
        self.leases._renew()
        await settled()
        return after_s

    @property
    def runs(self) -> int:
        """Calls of the script so far."""
        return self.store.asked.count(("run", "concurrency"))


async def settled() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def running(clock: FakeClock) -> Running:
    return Running(clock, LeaseServer(clock))


async def test_no_more_than_the_limit_are_under_way(running: Running) -> None:
    """One that ends makes room for another; the same caller elsewhere counts, another does not."""
    first, second, third = [await running.leases.take(TWO, "a") for _ in range(3)]
    assert [True, True, False] == [each.state.allowed for each in (first, second, third)]
    assert await running.passes(caller="b")
    other = Running(running.clock, running.server)
    assert not await other.passes()

    first.release()
    await settled()

    assert await other.passes()


async def test_what_comes_together_is_asked_together(running: Running) -> None:
    """One call for each caller, however many requests it makes."""
    many = [running.leases.take(TWO, caller) for caller in "aaabbb"]
    taken = await asyncio.gather(*many)
    assert [True, True, False] * 2 == [each.state.allowed for each in taken]
    assert 2 == running.runs


async def test_a_lease_is_ended_once(running: Running) -> None:
    """Released twice, or refused in the first place, it ends no other's."""
    taken = [await running.leases.take(TWO, "a") for _ in range(3)]
    taken[0].release()
    taken[0].release()
    taken[2].release()
    await settled()
    assert 1 == running.server.count


async def test_a_client_that_leaves_while_it_waits_takes_no_place(running: Running) -> None:
    """Before the store is asked, and after."""
    before = asyncio.create_task(running.leases.take(TWO, "a"))
    await asyncio.sleep(0)
    before.cancel()
    await settled()
    assert 0 == running.server.count

    running.store.gate.clear()
    after = asyncio.create_task(running.leases.take(TWO, "a"))
    await settled()
    assert 1 == running.server.count
    after.cancel()
    running.store.gate.set()
    await settled()
    assert 0 == running.server.count


async def test_long_requests_keep_their_place(running: Running) -> None:
    """They are renewed before a lease is over; one that ends soon is never renewed."""
    kept = await running.leases.take(TWO, "a")
    passing = await running.leases.take(TWO, "a")
    passing.release()
    await settled()
    for _ in range(20):
        assert await running.look() <= LEASE_S * (1 - module.RENEW_SHARE) / 2
        assert 1 == running.server.count
    assert 6 <= running.server.renewals <= 11

    kept.release()
    await settled()

    assert 0 == running.server.count
    await running.look()
    assert running.leases._timer is None


async def test_a_lease_that_ends_while_it_is_to_be_renewed_is_ended(running: Running) -> None:
    """The script ends leases before it renews others."""
    kept = await running.leases.take(TWO, "a")
    await running.look()
    timer = running.leases._timer
    assert timer is not None
    timer.cancel()
    running.clock.now_s += LEASE_S / 2
    running.leases._renew()
    kept.release()
    await settled()
    assert 0 == running.server.count


async def test_a_mistake_leaves_no_request_waiting(running: Running) -> None:
    """It is reported, and what is under way is counted here."""
    reports: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, failure: reports.append(failure["message"]))
    running.store.scripts["concurrency"] = lambda *_: 1 / 0
    taken = [await running.leases.take(TWO, "a") for _ in range(3)]
    assert [True, True, False] == [each.state.allowed for each in taken]
    assert ["leases failed"] * 3 == reports


async def test_the_places_of_a_gateway_that_died_are_free_after_a_lease(running: Running) -> None:
    """They are not renewed."""
    dead = Running(running.clock, running.server)
    assert [True, True] == [(await dead.leases.take(TWO, "a")).state.allowed for _ in range(2)]
    running.clock.now_s += LEASE_S - 1
    assert not await running.passes()
    running.clock.now_s += 1
    assert await running.passes()


async def test_local_counts_what_is_under_way_here(running: Running) -> None:
    """While the store is away; when it is back, those requests count for all."""
    held = await running.leases.take(TWO, "a")
    running.store.is_down = True
    more = [await running.leases.take(TWO, "a") for _ in range(2)]
    assert [True, False] == [each.state.allowed for each in more]
    held.release()
    await settled()
    assert await running.passes()


async def test_what_ended_while_the_store_was_away_is_ended_when_it_is_back(
    running: Running,
) -> None:
    """By the next look at the leases; also one whose grant was lost."""
    held = await running.leases.take(TWO, "a")
    running.store.is_down = True
    held.release()
    await settled()
    assert 1 == running.server.count
    running.store.is_down = False
    await running.look()
    assert 0 == running.server.count


async def test_places_of_requests_that_began_meanwhile_are_taken_when_the_store_is_back(
    running: Running,
) -> None:
    """Their leases are renewed like others."""
    running.store.is_down = True
    assert (await running.leases.take(TWO, "a")).state.allowed
    await settled()
    running.store.is_down = False
    running.clock.now_s += LEASE_S / 2
    await running.look()
    assert 1 == running.server.count


async def test_open_lets_pass_and_closed_raises(running: Running) -> None:
    """While the store is away; what is refused holds nothing here."""
    running.store.is_down = True
    fails_open = Limit("two", 2, LEASE_S, "open", "concurrency")
    assert all([(await running.leases.take(fails_open, "a")).state.allowed for _ in range(5)])
    closed = Limit("two", 2, LEASE_S, "closed", "concurrency")
    with pytest.raises(StoreUnavailable):
        await running.leases.take(closed, "a")


async def test_what_is_owed_to_the_store_is_bounded(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others end by themselves."""
    monkeypatch.setattr(module, "MAX_OWED", 3)
    running.store.is_down = True
    for _ in range(10):
        await running.leases.take(TWO, "a")
    [owed] = running.leases._owed.values()
    assert 3 == len(owed)


async def test_what_was_released_is_ended_before_the_process_is(running: Running) -> None:
    """Closing waits for the run under way, and for the next."""
    lease = await running.leases.take(TWO, "a")
    lease.release()
    await running.leases.aclose()
    assert 0 == running.server.count
    await running.leases.aclose()


async def test_short_leases_are_renewed_beside_long_ones(running: Running) -> None:
    """Whichever is taken first, leases are looked at soon enough for the shortest."""
    hours = Limit("hours", 2, 36 * LEASE_S, algorithm="concurrency")
    await running.leases.take(hours, "a")
    await running.leases.take(TWO, "a")
    assert await running.look() <= LEASE_S / 2
    await running.leases.take(hours, "b")
    assert await running.look() <= LEASE_S / 2


@pytest.mark.parametrize("granted", [-1, 2])
async def test_a_reply_that_cannot_be_leaves_no_request_waiting(
    running: Running, granted: int
) -> None:
    """It grants more than was asked for, or less than none; later requests are asked for."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    right = running.store.scripts["concurrency"]
    running.store.scripts["concurrency"] = lambda *_: [1, granted, 0]
    async with asyncio.timeout(20):
        assert await running.passes()
        running.store.scripts["concurrency"] = right
        assert await running.passes()
    assert 0 == running.server.count


async def test_a_request_costs_the_same_however_much_is_owed(running: Running) -> None:
    """While the store is away, only the timer has it told of what ended for other callers."""
    running.store.is_down = True
    for caller in range(50):
        assert await running.passes(caller=str(caller))
    before = running.runs
    assert await running.passes(caller="another")
    assert before + 2 == running.runs

    await running.look()
    assert before + 2 + 51 == running.runs


async def test_what_is_owed_in_one_part_of_the_store_costs_no_other_requests(
    running: Running,
) -> None:
    """Where a part is away, what is owed there is asked for once in a second, not each time."""
    right = running.store.scripts["concurrency"]

    def partly(keys: Sequence[str], args: Sequence[Word]) -> object:
        if "away" in keys[0]:
            raise StoreUnavailable("is down")
        return right(keys, args)

    running.store.scripts["concurrency"] = partly
    for caller in range(50):
        assert await running.passes(caller=f"away{caller}")
    assert await running.passes()
    before = running.runs
    for _ in range(5):
        assert await running.passes()
    assert before + 10 == running.runs


async def test_callers_with_leases_to_end_are_bounded(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leases of others end by themselves."""
    monkeypatch.setattr(module, "MAX_OWING", 3)
    running.store.is_down = True
    for caller in range(10):
        await running.passes(caller=str(caller))
    assert 3 == len(running.leases._owed)
