"""Limits that are counted in each process: how far they are exceeded, and what the store hears."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, Spend
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.known_caller import share
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from tests.fakes.limit_server import LimitServer, StillLimiter
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

HOT = Limit("hot", 100, 10, is_approximate=True)
FEW = Limit("few", 3, 10, is_approximate=True)


class Gateways:
    """Processes on one store; what each has admitted, and when."""

    def __init__(self, number: int, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.server = LimitServer(self.clock)
        self.stores = [FakeStore(self.clock, self.server.scripts) for _ in range(number)]
        self.limiters = [
            StillLimiter(
                store,
                LocalLimiter(self.clock),
                RedisLimiter(store, LocalLimiter(self.clock), self.clock),
                self.clock,
            )
            for store in self.stores
        ]
        self.admitted_ms: list[int] = []

    async def ask(self, which: int, limit: Limit, caller: str = "a") -> bool:
        """Make a request."""
        limiter = self.limiters[which]
        state = limiter.spend_now(limit, caller) or await limiter.spend(limit, caller)
        if state.allowed:
            self.admitted_ms.append(int(self.clock() * 1000))
        return state.allowed

    async def reconcile(self, which: int) -> None:
        """Let the tenth of a second be over."""
        limiter = self.limiters[which]
        if limiter._timer is not None:
            limiter._timer.cancel()
            limiter._tick()
        await settled()

    @property
    def runs(self) -> int:
        """Calls of scripts so far."""
        return len(self.server.runs)


async def settled() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture
def alone() -> Gateways:
    return Gateways(1)


async def test_a_hot_caller_is_told_by_one_call(alone: Gateways) -> None:
    """A hundred requests a second of three callers are ten calls, not a hundred."""
    for caller in "abc":
        assert await alone.ask(0, HOT, caller)
    before = alone.runs
    for caller in "abc" * 9:
        assert alone.limiters[0].spend_now(HOT, caller) is not None
    assert before == alone.runs

    await alone.reconcile(0)

    assert before + 1 == alone.runs
    assert 3 == alone.server.runs[-1]
    assert [10, 10, 10] == list(alone.server.counts.values())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_process_that_is_alone_never_exceeds_a_limit(
    alone: Gateways, algorithm: str
) -> None:
    """However its requests come."""
    limit = replace(HOT, algorithm=algorithm)
    other = replace(limit, name="other")
    allowed = [await alone.ask(0, limit) for _ in range(150)]
    together = await asyncio.gather(*(alone.ask(0, other) for _ in range(150)))
    assert [True] * 100 + [False] * 50 == allowed
    assert [True] * 100 + [False] * 50 == together


async def test_a_used_up_limit_asks_ten_times_a_second(alone: Gateways) -> None:
    """A flood of one caller is refused from memory meanwhile."""
    for _ in range(4):
        await alone.ask(0, FEW)
    before = alone.runs
    assert not any([await alone.ask(0, FEW) for _ in range(50)])
    assert before == alone.runs
    alone.clock.now_s += 0.1
    assert not await alone.ask(0, FEW)
    assert before + 1 == alone.runs


async def test_what_exceeds_a_limit_is_charged() -> None:
    """So what two processes admit together is not admitted once more in the next tenth."""
    both = Gateways(2)
    for _ in range(91):
        await both.ask(0, HOT)
    await both.reconcile(0)
    await both.ask(1, HOT)
    for which in (0, 1) * 8:
        assert await both.ask(which, HOT)
    await both.reconcile(1)
    await both.reconcile(0)
    await both.reconcile(1)
    assert 108 == sum(both.server.counts.values())
    assert not await both.ask(0, HOT)
    assert not await both.ask(1, HOT)


async def test_idle_callers_are_forgotten(alone: Gateways) -> None:
    """After two looks; then nothing is asked of the store any more."""
    await alone.ask(0, HOT)
    for _ in range(3):
        await alone.reconcile(0)
    before = alone.runs
    assert not alone.limiters[0]._known
    await alone.reconcile(0)
    assert before == alone.runs


async def test_the_store_s_clock_counts(alone: Gateways) -> None:
    """Where ours is windows away from it, the charge is made by a second call."""
    alone.server.clock = FakeClock(alone.clock() + 1000)
    assert [True, True, True, False] == [await alone.ask(0, FEW) for _ in range(4)]
    window = int(alone.server.clock()) // FEW.window_s
    assert {f"limit:few:{window}:{{a}}": 3} == {
        key: count for key, count in alone.server.counts.items() if count
    }


async def test_a_clock_that_jumps_is_a_store_that_cannot_count(alone: Gateways) -> None:
    """No request waits for ever."""
    alone.stores[0].scripts["sliding_window"] = lambda keys, _: [0] + [-1, 0, 0] * (len(keys) // 3)
    assert [True, True, True, False] == [await alone.ask(0, FEW) for _ in range(4)]


@pytest.mark.parametrize("kind", ["local", "open", "closed"])
async def test_without_the_store_the_limit_says_what_happens(alone: Gateways, kind: str) -> None:
    """Local counts on from what the store counted, and what it was not told."""
    limit = replace(HOT, on_store_failure=kind)
    for _ in range(95):
        await alone.ask(0, limit)
    alone.stores[0].is_down = True
    if kind == "closed":
        with pytest.raises(StoreUnavailable):
            [await alone.ask(0, limit) for _ in range(20)]
        return
    allowed = [await alone.ask(0, limit) for _ in range(20)]
    assert (5 if kind == "local" else 20) == sum(allowed)


async def test_a_mistake_leaves_no_request_waiting(alone: Gateways) -> None:
    """It is reported, and the limit is counted here."""
    reports: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, failure: reports.append(failure["message"]))
    alone.stores[0].scripts["sliding_window"] = lambda *_: "no list"
    assert await alone.ask(0, FEW)
    assert ["charges failed"] == reports


async def test_several_limits_are_charged_together_or_not_at_all(alone: Gateways) -> None:
    """Now or after a wait; costs count as so many requests."""
    limiter = alone.limiters[0]
    both = [Spend(HOT, "a", 4), Spend(FEW, "a")]
    assert limiter.spend_all_now(both) is None
    states = [await limiter.spend_all(both) for _ in range(4)]
    assert [[True, True]] * 3 + [[True, False]] == [[s.allowed for s in each] for each in states]
    refused = limiter.spend_all_now(both)
    assert refused is not None
    assert [False] == [state.allowed for state in refused]
    assert (await limiter.spend_all([Spend(HOT, "a", 4)]))[0].allowed
    await limiter.aclose()
    assert {16, 3} == {count for count in alone.server.counts.values() if count}
    [state] = await limiter.spend_all([Spend(HOT, "a", 100)])
    assert (False, 84) == (state.allowed, state.remaining)


async def test_later_costs_are_told_or_given_back(alone: Gateways) -> None:
    """What the store has counted already is for the exact limiter to give back."""
    limiter = alone.limiters[0]
    await alone.ask(0, HOT)
    await limiter.settle(Spend(HOT, "a", 9))
    await limiter.aclose()
    assert [10] == [count for count in alone.server.counts.values() if count]
    await limiter.settle(Spend(HOT, "a", -1))
    await limiter.aclose()


async def test_a_client_that_leaves_is_not_counted(alone: Gateways) -> None:
    """While its request waits for the store."""
    request = asyncio.create_task(alone.limiters[0].spend(FEW, "a"))
    await asyncio.sleep(0)
    request.cancel()
    await settled()
    assert [True, True, True, False] == [await alone.ask(0, FEW) for _ in range(4)]


async def test_a_client_that_leaves_takes_nothing_of_the_first_of_several_limits(
    alone: Gateways,
) -> None:
    """While its request waits for the second of them."""
    limiter = alone.limiters[0]
    assert await alone.ask(0, HOT)
    request = asyncio.create_task(limiter.spend_all([Spend(HOT, "a", 9), Spend(FEW, "new")]))
    await asyncio.sleep(0)
    request.cancel()
    await settled()
    await limiter.aclose()
    assert [1] == [count for count in alone.server.counts.values() if count]


async def test_a_new_caller_costs_the_same_however_many_are_known(alone: Gateways) -> None:
    """The store is asked for those that wait; of the others it is told ten times a second."""
    for caller in range(100):
        assert await alone.ask(0, HOT, str(caller))
    assert 100 == sum(alone.server.runs)
    await alone.reconcile(0)
    assert 100 == alone.server.runs[-1]


async def test_callers_that_do_not_wait_are_told_while_others_always_do(alone: Gateways) -> None:
    """Each run is followed by another one, and still there is a timer."""
    await alone.ask(0, HOT)
    alone.limiters[0].spend_now(HOT, "a")
    waiting = []
    for caller in range(5):
        waiting.append(asyncio.create_task(alone.ask(0, HOT, f"new{caller}")))
        alone.stores[0].gate.clear()
        await settled()
        waiting.append(asyncio.create_task(alone.ask(0, HOT, f"next{caller}")))
        await alone.reconcile(0)
        alone.stores[0].gate.set()
        await settled()
        assert alone.limiters[0]._timer is not None
    await asyncio.gather(*waiting)
    await alone.reconcile(0)
    assert 2 == max(alone.server.counts.values())


# --- the bound ----------------------------------------------------------------------------------

moves = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 2), st.integers(1, 40)),
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([1, 30, 100, 333, 2500, 5000])),
        st.tuples(st.just("reconcile"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("stop"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("go on"), st.integers(0, 2), st.just(0)),
    ),
    min_size=5,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(
    moves,
    st.sampled_from(sorted(ALGORITHMS)),
    st.sampled_from([3, 20, 50]),
    st.integers(1, 3),
    st.integers(0, 9999),
)
def test_the_overshoot_is_at_most_a_share_of_each_other_process(
    steps: list[tuple[str, int, int]], algorithm: str, rate: int, processes: int, begin_ms: int
) -> None:
    """In a window of the grid; of a token bucket, in any stretch of a window's length."""
    burst = 2 * rate if algorithm == "token-bucket" else None
    limit = Limit("hot", rate, 10, algorithm=algorithm, burst=burst, is_approximate=True)
    clock = FakeClock(1_800_000_000 + begin_ms / 1000)
    admitted_ms = asyncio.run(_admitted(steps, limit, processes, clock))
    bound = limit.rate + (processes - 1) * share(limit)
    if algorithm == "token-bucket":
        bound += limit.capacity
        stretches = [
            sum(first <= each < first + 10_000 for each in admitted_ms) for first in admitted_ms
        ]
    else:
        stretches = [
            sum(each // 10_000 == window for each in admitted_ms)
            for window in {each // 10_000 for each in admitted_ms}
        ]
    assert max(stretches, default=0) <= bound


async def _admitted(
    steps: list[tuple[str, int, int]], limit: Limit, processes: int, clock: FakeClock
) -> list[int]:
    gateways = Gateways(processes, clock)
    waiting: set[asyncio.Task[bool]] = set()
    for move, which, number in steps:
        at = which % processes
        match move:
            case "ask":
                waiting |= {asyncio.create_task(gateways.ask(at, limit)) for _ in range(number)}
                await settled()
            case "wait":
                clock.now_s += number / 1000
            case "reconcile":
                await gateways.reconcile(at)
            case "stop":
                gateways.stores[at].gate.clear()
            case _:
                gateways.stores[at].gate.set()
                await settled()
    for store in gateways.stores:
        store.gate.set()
    await asyncio.gather(*waiting)
    for limiter in gateways.limiters:
        await limiter.aclose()
    return gateways.admitted_ms


async def test_the_bound_is_reached() -> None:
    """Two processes that learnt at one moment that a share is left admit it twice."""
    both = Gateways(2)
    for which in (0, 1):
        for _ in range(45):
            await both.ask(which, HOT)
        await both.reconcile(which)
    await both.reconcile(0)
    allowed = [await both.ask(which, HOT) for which in (0, 1) for _ in range(20)]
    assert 20 == sum(allowed)
    assert HOT.rate + share(HOT) == len(both.admitted_ms)
