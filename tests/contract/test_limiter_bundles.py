"""What the port `Limiter` promises of several limits and of costs, on every implementation."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from random import Random
from typing import cast

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import InvalidationKind
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Limiter, Script, Store
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.bundle import How
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.store.bus import StoreBus
from gateway.store.redis import RedisStore
from tests.fakes.servers import REAL, Servers, opened_client
from tests.fakes.store import FakeStore

YEARS_S = 10**8
"""A window that is longer than any test run."""

ONE = Limit("one", rate=1, window_s=YEARS_S)
FIVE = Limit("five", rate=5, window_s=YEARS_S)
STRICT = Limit("strict", rate=50, window_s=YEARS_S, on_store_failure="closed")


class SlotStore:
    """A store whose scripts must keep to one slot, as on a cluster; it counts their calls."""

    def __init__(self, store: RedisStore, *, has_slots: bool) -> None:
        self._store = store
        self._has_slots = has_slots
        self.calls: list[str] = []
        self.is_down_for = -1
        """The slot whose server is down."""

    def slot_of(self, key: str) -> int:
        tag = key[key.index("{") + 1 : key.index("}")]
        return sum(tag.encode()) if self._has_slots else 0

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> Awaitable[object]:
        self.calls.append(script.name)
        slots = {self.slot_of(key) for key in keys}
        if len(slots) > 1 or self.is_down_for in slots:
            failed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            failed.set_exception(StoreUnavailable("CROSSSLOT" if len(slots) > 1 else "is down"))
            return failed
        return self._store.run(script, keys, args)


def _limiter(store: SlotStore) -> RedisLimiter:
    return RedisLimiter(cast("Store", store), LocalLimiter())  # which calls nothing else of it


@pytest.fixture(params=["local", "fakeredis", *REAL])
async def limiter(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Limiter]:
    """Each kind of limiter, with nothing counted yet."""
    if request.param == "local":
        yield LocalLimiter()
        return
    async with opened_client(request.param, servers) as client:
        yield RedisLimiter(RedisStore(client, "gw:", 2), LocalLimiter())


@pytest.fixture(params=ALGORITHMS)
def five(request: pytest.FixtureRequest) -> Limit:
    """Five requests in a window that does not end, by each algorithm."""
    return replace(FIVE, algorithm=request.param)


@pytest.fixture
def one_call(store: RedisStore) -> SlotStore:
    """A store without slots that counts calls."""
    if store.slot_of("{a}") != store.slot_of("{b}"):
        pytest.skip("a cluster is asked once for each slot")
    return SlotStore(store, has_slots=False)


@pytest.fixture
def slots(store: RedisStore) -> SlotStore:
    """A store where callers of other names lie in other slots."""
    return SlotStore(store, has_slots=True)


def _told(states: Sequence[LimitState]) -> list[tuple[bool, int]]:
    return [(state.allowed, state.remaining) for state in states]


async def _left(limiter: Limiter, limit: Limit, caller: str = "a") -> int:
    """How many requests a caller has left, asked by one more."""
    return (await limiter.spend(limit, caller)).remaining + 1


async def test_all_limits_are_charged(limiter: Limiter, five: Limit) -> None:
    """Of whatever algorithms, in the order that was asked."""
    wide = Limit("wide", rate=9, window_s=YEARS_S, algorithm="token-bucket")
    states = await limiter.spend_all([Spend(five, "a"), Spend(wide, "b", 2), Spend(ONE, "c")])
    assert [(True, 4), (True, 7), (True, 0)] == _told(states)
    assert 4 == await _left(limiter, five)


async def test_a_refusal_of_one_limit_spends_nothing_of_the_others(
    limiter: Limiter, five: Limit
) -> None:
    """Whichever comes first, and however often it is tried."""
    await limiter.spend(ONE, "a")
    for spends in ([Spend(five, "a"), Spend(ONE, "a")], [Spend(ONE, "a"), Spend(five, "a")]) * 2:
        states = await limiter.spend_all(spends)
        refused = [state.limit for state in states if not state.allowed]
        assert [ONE] == refused
        assert all(state.retry_after_s > 0 for state in states if not state.allowed)
    assert 5 == await _left(limiter, five)


async def test_a_cost_that_exceeds_what_is_left_spends_nothing(
    limiter: Limiter, five: Limit
) -> None:
    """What is left is told, and less may be spent of it."""
    costs = [3, 3, 2, 1]
    states = [(await limiter.spend_all([Spend(five, "a", cost)]))[0] for cost in costs]
    assert [(True, 2), (False, 2), (True, 0), (False, 0)] == _told(states)
    assert states[1].retry_after_s > 0
    assert 0 == states[0].retry_after_s


async def test_a_cost_above_the_limit_never_passes(limiter: Limiter, five: Limit) -> None:
    """Nor does it spend anything."""
    assert [(False, 5)] == _told(await limiter.spend_all([Spend(five, "a", 6)]))
    assert 5 == await _left(limiter, five)


async def test_however_many_come_at_once_no_more_passes(limiter: Limiter, five: Limit) -> None:
    """Each pair of limits is charged as if it came alone."""
    pair = [Spend(five, "a", 2), Spend(STRICT, "a")]
    answers = await asyncio.gather(*(limiter.spend_all(pair) for _ in range(20)))
    passed = [states for states in answers if all(state.allowed for state in states)]
    assert 2 == len(passed)
    assert 48 == await _left(limiter, STRICT)
    assert 1 == await _left(limiter, five)


async def test_a_limit_that_is_named_twice_is_charged_twice(limiter: Limiter, five: Limit) -> None:
    """In one step: both pass, or none."""
    twice = [Spend(five, "a", 2), Spend(five, "a", 1)]
    assert [(True, 2), (True, 2)] == _told(await limiter.spend_all(twice))
    assert [(False, 2), (False, 2)] == _told(await limiter.spend_all(twice))
    assert 2 == await _left(limiter, five)


async def test_nothing_is_charged_for_nothing(limiter: Limiter, five: Limit) -> None:
    """No limits have no states; a cost of 0 passes."""
    assert [] == await limiter.spend_all([])
    assert [(True, 5)] == _told(await limiter.spend_all([Spend(five, "a", 0)]))


async def test_what_an_answer_cost_more_is_charged_whatever_is_left(
    limiter: Limiter, five: Limit
) -> None:
    """It may be more than was left: its caller waits for longer then."""
    await limiter.spend_all([Spend(five, "a")])
    await limiter.settle(Spend(five, "a", 3))
    assert 1 == await _left(limiter, five)
    await limiter.settle(Spend(five, "a", 7))
    state = await limiter.spend(five, "a")
    assert [(False, 0)] == _told([state])
    await limiter.settle(Spend(five, "a", -6))
    assert [(False, 0)] == _told([await limiter.spend(five, "a")])  # it has spent 6 of 5


async def test_what_is_given_back_can_be_spent_at_once(limiter: Limiter, five: Limit) -> None:
    """Even by a caller that was refused a moment ago; not more than was spent."""
    await limiter.spend_all([Spend(five, "a", 5)])
    assert not (await limiter.spend(five, "a")).allowed
    await limiter.settle(Spend(five, "a", -2))
    assert 2 == await _left(limiter, five)
    await limiter.settle(Spend(five, "a", -100))
    assert 5 == await _left(limiter, five)


async def test_the_store_and_this_process_count_alike(store: RedisStore) -> None:
    """Any mixture of limits, callers and costs gets the same answers from both."""
    random = Random(7)
    here, shared = LocalLimiter(), RedisLimiter(store, LocalLimiter())
    limits = [
        Limit(f"{name} {algorithm}", rate, YEARS_S, "closed", algorithm)
        for algorithm in ALGORITHMS
        for name, rate in (("few", 6), ("more", 25))
    ]
    refused = 0
    for _ in range(150):
        chosen = random.sample(limits, random.randint(1, 4))
        spends = [Spend(limit, random.choice("ab"), random.randint(1, 3)) for limit in chosen]
        expected = [state.allowed for state in await here.spend_all(spends)]
        states = await shared.spend_all(spends)
        assert all(expected) == all(state.allowed for state in states)
        refused += not all(expected)
        back = random.choice(spends)._replace(cost=random.randint(-2, 1))
        await here.settle(back)
        await shared.settle(back)
    assert 20 < refused < 150


# --- trips --------------------------------------------------------------------------------------


async def test_two_limits_of_a_request_cost_one_trip(one_call: SlotStore, five: Limit) -> None:
    """And so do those of many requests that come at one time, in one call of one script."""
    limiter = _limiter(one_call)
    await limiter.spend_all([Spend(five, "a"), Spend(STRICT, "a")])
    assert ["charge_all"] == one_call.calls
    one_call.calls.clear()
    several = [[Spend(STRICT, f"caller {n}"), Spend(five, f"{n}")] for n in range(30)]
    answers = await asyncio.gather(*map(limiter.spend_all, several))
    assert ["charge_all"] == one_call.calls
    assert [[(True, 49), (True, 4)]] * 30 == [_told(states) for states in answers]


async def test_a_caller_over_one_limit_costs_no_trip_until_there_is_room(
    one_call: SlotStore, five: Limit
) -> None:
    """Whatever other limits are asked for with it, and whatever it costs."""
    limiter = _limiter(one_call)
    await limiter.spend_all([Spend(five, "a", 3)])
    assert not (await limiter.spend_all([Spend(five, "a", 3)]))[0].allowed
    one_call.calls.clear()
    for cost in (3, 4, 5) * 10:
        spends = [Spend(STRICT, "a"), Spend(five, "a", cost)]
        for states in (await limiter.spend_all(spends), limiter.spend_all_now(spends)):
            assert states
            assert [True, False] == [state.allowed for state in states]
    assert [] == one_call.calls
    assert 2 == await _left(limiter, five)


async def test_limits_far_from_full_are_admitted_ahead_together(one_call: SlotStore) -> None:
    """They are charged soon after, and no request is lost."""
    limiter = _limiter(one_call)
    pair = [Spend(replace(STRICT, name=name, on_store_failure="local"), "a") for name in "xy"]
    await limiter.spend_all(pair)
    one_call.calls.clear()
    assert all(limiter.spend_all_now(pair) for _ in range(10))
    assert [] == one_call.calls
    await limiter.aclose()
    assert ["sliding_window"] == one_call.calls
    assert [50 - 11] * 2 == [await _left(_limiter(one_call), spend.limit) for spend in pair]


# --- slots of a cluster -------------------------------------------------------------------------


async def test_a_run_is_one_call_for_each_slot(slots: SlotStore) -> None:
    """No call touches the keys of two slots."""
    limiter = _limiter(slots)
    callers = [*"abc"] * 4
    states = await asyncio.gather(*(limiter.spend(STRICT, caller) for caller in callers))
    assert all(state.allowed for state in states)
    assert ["sliding_window"] * 3 == slots.calls
    pairs = [[Spend(STRICT, caller), Spend(FIVE, caller)] for caller in "abcabc"]
    slots.calls.clear()
    answers = await asyncio.gather(*map(limiter.spend_all, pairs))
    assert ["charge_all"] * 3 == slots.calls
    assert all(state.allowed for states in answers for state in states)


async def test_limits_in_several_slots_are_reserved_in_order(slots: SlotStore, five: Limit) -> None:
    """Each slot takes one call."""
    limiter = _limiter(slots)
    spends = [Spend(five, "a"), Spend(STRICT, "b", 2), Spend(STRICT, "a")]
    assert [(True, 4), (True, 48), (True, 49)] == _told(await limiter.spend_all(spends))
    assert ["charge_all"] * 2 == slots.calls


async def test_what_was_reserved_is_given_back_where_another_slot_refuses(
    slots: SlotStore, five: Limit
) -> None:
    """So a refusal spends nothing there either."""
    limiter = _limiter(slots)
    await limiter.spend(ONE, "b")
    other = _limiter(slots)  # it does not know yet that the caller is over its limit
    states = await other.spend_all([Spend(five, "a", 2), Spend(ONE, "b")])
    assert [True, False] == [state.allowed for state in states]
    assert 5 == await _left(_limiter(slots), five)


async def test_a_caller_that_got_its_last_back_is_not_refused_by_any_gateway(
    slots: SlotStore, five: Limit
) -> None:
    """The one that gave it back has forgotten the refusal, and tells the others to."""
    told: list[str] = []
    bus = StoreBus(FakeStore(time.time))
    bus.on(InvalidationKind.LIMIT, told.append)
    limiter = RedisLimiter(cast("Store", slots), LocalLimiter(), bus=bus)
    await _limiter(slots).spend(ONE, "b")
    await limiter.spend_all([Spend(five, "a", 5), Spend(ONE, "b")])
    assert ["five a"] == told
    assert (await limiter.spend(five, "a")).allowed
    await limiter.settle(Spend(five, "a", 9))
    await limiter.settle(Spend(five, "a", -1))
    assert ["five a"] == told  # it has spent more than it has
    await limiter.settle(Spend(five, "a", -6))
    assert ["five a", "five a"] == told


async def test_what_was_reserved_is_given_back_where_another_slot_is_down(
    slots: SlotStore, five: Limit
) -> None:
    """For limits that are closed without the store; the refusal says why."""
    limiter = _limiter(slots)
    slots.is_down_for = ord("b")
    with pytest.raises(StoreUnavailable, match="is down"):
        await limiter.spend_all([Spend(five, "a", 2), Spend(STRICT, "b")])
    assert 5 == await _left(_limiter(slots), five)


async def test_what_is_given_back_goes_to_the_window_that_was_charged(slots: SlotStore) -> None:
    """A window that began meanwhile lets no more pass for it."""
    limit = Limit("day", rate=5, window_s=86_400, algorithm="fixed-window")
    limiter = _limiter(slots)
    bundle = limiter._bundle([Spend(limit, "a", 2)], How.ALL_OR_NONE)
    await bundle.answer
    bundle.at_ms = int(time.time() * 1000) - 86_400_000
    await limiter._give_back([bundle])
    assert 3 == await _left(_limiter(slots), limit)


async def test_all_is_given_back_though_the_client_leaves_meanwhile(
    slots: SlotStore, five: Limit
) -> None:
    """What was reserved in each slot."""
    limiter = _limiter(slots)
    bundles = [limiter._bundle([Spend(five, caller, 2)], How.ALL_OR_NONE) for caller in "ab"]
    await asyncio.gather(*(bundle.answer for bundle in bundles))
    giving_back = asyncio.create_task(limiter._give_back(bundles))
    await asyncio.sleep(0)
    giving_back.cancel()
    await asyncio.wait([giving_back])
    await limiter.aclose()
    assert [5, 5] == [await _left(_limiter(slots), five, caller) for caller in "ab"]


async def test_what_was_counted_here_is_given_back_here(slots: SlotStore, five: Limit) -> None:
    """The store was away when it was charged, and is back: it was not charged there."""
    limiter = _limiter(slots)
    await _limiter(slots).spend_all([Spend(five, "a", 2)])
    slots.is_down_for = ord("a")
    bundle = limiter._bundle([Spend(five, "a", 3)], How.ALL_OR_NONE)
    await bundle.answer
    slots.is_down_for = -1
    await limiter._give_back([bundle])
    assert 3 == await _left(_limiter(slots), five)
    slots.is_down_for = ord("a")
    assert 5 == await _left(limiter, five)
