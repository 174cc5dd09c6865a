"""Bundles while the store fails; tests/contract/test_limiter_bundles.py has the rest."""

import asyncio

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, Spend
from gateway.ratelimit.bundle import Bundle, BundlePart, How, by_slot
from gateway.ratelimit.ledger import Ledger
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.ratelimit.run_part import WRONG_WINDOW
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

NOW_MS = 1_800_000_000_000
TWO = Limit("two", 2, 60)
FIVE = Limit("five", 5, 60, algorithm="token-bucket")
OPEN = Limit("open", 1, 60, "open")
CLOSED = Limit("closed", 9, 60, "closed")


class SlottedStore(FakeStore):
    """Each letter has its slot."""

    def slot_of(self, key: str) -> int:
        return ord(key.strip("{}"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW_MS / 1000)


@pytest.fixture
def limiter(clock: FakeClock) -> RedisLimiter:
    """Its store is down."""
    store = FakeStore(clock)
    store.is_down = True
    return RedisLimiter(store, LocalLimiter(clock), clock)


async def test_a_bundle_is_counted_here_all_or_none(limiter: RedisLimiter) -> None:
    """Limits that are open let pass, and are not counted."""
    spends = [Spend(FIVE, "a", 2), Spend(OPEN, "a"), Spend(TWO, "a")]
    told = [await limiter.spend_all(spends) for _ in range(3)]
    assert [[True] * 3, [True] * 3, [False, True, False]] == [
        [state.allowed for state in states] for states in told
    ]
    assert [3, 1, 1] == [state.remaining for state in told[0]]
    assert 1 == told[2][0].remaining
    assert [True] == [state.allowed for state in await limiter.spend_all([Spend(FIVE, "a")])]


async def test_a_closed_limit_refuses_the_bundle(limiter: RedisLimiter) -> None:
    """Nothing of the others is spent."""
    with pytest.raises(StoreUnavailable, match="is down"):
        await limiter.spend_all([Spend(TWO, "a", 2), Spend(CLOSED, "a")])
    assert [0] == [state.remaining for state in await limiter.spend_all([Spend(TWO, "a", 2)])]


@pytest.mark.parametrize("limit", [TWO, OPEN, CLOSED], ids=lambda limit: limit.name)
async def test_what_an_answer_cost_is_counted_here_too(limiter: RedisLimiter, limit: Limit) -> None:
    """Nothing is raised: the request was answered."""
    await limiter.settle(Spend(limit, "a", 5))
    if limit is TWO:
        assert not (await limiter.spend(limit, "a")).allowed


async def test_a_bundle_that_was_cancelled_is_not_charged_here(limiter: RedisLimiter) -> None:
    """Its request is gone."""
    gone = asyncio.ensure_future(limiter.spend_all([Spend(TWO, "a", 2)]))
    await asyncio.sleep(0)
    gone.cancel()
    await limiter.aclose()
    assert 2 == (await limiter.spend_all([Spend(TWO, "a", 0)]))[0].remaining


async def test_a_mistake_of_ours_leaves_no_bundle_waiting(
    limiter: RedisLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported, and the next run begins afresh."""
    faults: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, at: faults.append(at["exception"]))
    odd = Limit("odd", 5, 60, algorithm="none")
    with pytest.raises(StoreUnavailable, match="not answered"):
        await asyncio.wait_for(limiter.spend_all([Spend(odd, "a"), Spend(TWO, "a")]), 20)
    assert [KeyError, KeyError] == [type(fault) for fault in faults]
    assert (await limiter.spend_all([Spend(TWO, "a", 2)]))[0].allowed


async def test_a_bundle_whose_window_was_another_is_left_for_a_second_call(
    clock: FakeClock,
) -> None:
    """As a whole: nothing of it was charged."""
    ledger = Ledger(LocalLimiter(clock), clock, None)
    answers = [asyncio.get_running_loop().create_future() for _ in range(2)]
    pair = [Spend(TWO, "a"), Spend(FIVE, "a")]
    bundles = [Bundle(pair, How.ALL_OR_NONE, answer) for answer in answers]
    reply = [NOW_MS, 1, 1, 0, 1, 60_000, 0, WRONG_WINDOW, 0, 0, 1, 60_000, 0]

    rest = BundlePart(bundles).hear(reply, ledger)

    assert [(True, 1), (True, 4)] == [state[1:3] for state in answers[0].result()]
    assert not answers[1].done()
    assert rest is not None
    assert rest.hear([NOW_MS, 1, 2, 0, 1, 120_000, 0], ledger) is None
    assert [(True, 0), (True, 3)] == [state[1:3] for state in answers[1].result()]


def test_spends_are_grouped_by_the_slots_of_their_callers(clock: FakeClock) -> None:
    """In order; on a store without slots there is one group."""
    spends = [Spend(TWO, "a"), Spend(FIVE, "b"), Spend(FIVE, "a")]
    assert [spends] == by_slot(FakeStore(clock), spends)
    assert [[spends[0], spends[2]], [spends[1]]] == by_slot(SlottedStore(clock), spends)
