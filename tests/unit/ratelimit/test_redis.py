"""Batching in the shared limiter, and its behaviour when the store fails."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.ratelimit.sliding_window import settle, window_number
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore

THREE = Limit("three", rate=3, window_s=10)
FAR_S = 3600.0


class Server:
    """``sliding_window.lua`` in Python, with a clock of its own."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.counts: dict[str, int] = {}
        self.runs: list[int] = []
        """How many charges each run had."""

    def spend(self, keys: Sequence[str], args: Sequence[str | int | bytes]) -> list[int]:
        now_ms = int(self.clock() * 1000)
        reply = [now_ms]
        numbers, counters = [int(arg) for arg in args], list(keys)
        self.runs.append(len(keys) // 3)
        while numbers:
            rate, length_ms, window, charges = numbers[:4]
            for asked in numbers[4 : 4 + charges]:
                reply += self._charge(
                    Limit("any", rate, length_ms // 1000), asked, window, counters
                )
                del counters[:3]
            del numbers[: 4 + charges]
        return reply

    def _charge(
        self, limit: Limit, asked: int, window: int, counters: Sequence[str]
    ) -> tuple[int, int, int]:
        now_ms = int(self.clock() * 1000)
        ahead = window_number(limit, now_ms) - window
        if ahead not in (0, 1):
            return -1, 0, 0
        before, key = counters[ahead : ahead + 2]
        current, previous = self.counts.get(key, 0), self.counts.get(before, 0)
        allowed = settle(limit, current, previous, asked, now_ms)
        self.counts[key] = current + allowed
        return allowed, current + allowed, previous


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Server:
    return Server(FakeClock(clock.now_s))


@pytest.fixture
def store(clock: FakeClock, server: Server) -> FakeStore:
    return FakeStore(clock, {"sliding_window": server.spend})


@pytest.fixture
def limiter(store: FakeStore, clock: FakeClock) -> RedisLimiter:
    return RedisLimiter(store, LocalLimiter(clock), clock)


def _spent(states: Sequence[LimitState]) -> list[bool]:
    return [state.allowed for state in states]


async def test_requests_of_one_tick_are_one_run(limiter: RedisLimiter, server: Server) -> None:
    """Requests of one caller are one charge in it, in order of arrival."""
    other = Limit("other", 1, 10)

    states = await asyncio.gather(
        *(limiter.spend(THREE, "a") for _ in range(5)),
        limiter.spend(THREE, "b"),
        limiter.spend(other, "a"),
    )

    assert [3] == server.runs
    assert [True, True, True, False, False, True, True] == _spent(states)


async def test_requests_during_a_run_are_charged_by_the_next(
    limiter: RedisLimiter, store: FakeStore, server: Server
) -> None:
    """A slow store gets longer runs, not more of them."""
    store.gate.clear()
    first = asyncio.ensure_future(limiter.spend(THREE, "a"))
    await _ticks(3)
    others = [asyncio.ensure_future(limiter.spend(THREE, "a")) for _ in range(5)]
    await _ticks(3)
    assert [1] == server.runs
    store.gate.set()

    assert [True, True, True, False, False, False] == _spent(await asyncio.gather(first, *others))
    assert [1, 1] == server.runs


@pytest.mark.parametrize(
    ("callers", "runs"),
    [
        pytest.param(["a"], [1, 1], id="one-alone-is-sent-at-once"),
        pytest.param(["a", "b"], [3], id="several-take-in-one-more"),
    ],
)
async def test_under_load_a_run_takes_in_requests_of_the_next_pass(
    limiter: RedisLimiter, server: Server, callers: list[str], runs: list[int]
) -> None:
    """The loop has read them, and begins them while the run is about to start."""
    waiting = [asyncio.ensure_future(limiter.spend(THREE, caller)) for caller in callers]
    await _ticks(1)
    waiting.append(asyncio.ensure_future(limiter.spend(THREE, "next")))

    states = await asyncio.gather(*waiting)

    assert all(_spent(states))
    assert runs == server.runs


@pytest.mark.parametrize("rule", ["open", "closed"])
async def test_a_script_that_is_cancelled_leaves_no_caller_waiting(
    limiter: RedisLimiter, store: FakeStore, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """Its callers get what the limit says for a store that fails."""
    limit = Limit(rule, 3, 10, rule)
    scripts: list[asyncio.Task[object]] = []
    run = store.run

    def started(*asked: Any) -> asyncio.Task[object]:
        scripts.append(asyncio.ensure_future(run(*asked)))
        return scripts[-1]

    monkeypatch.setattr(store, "run", started)
    store.gate.clear()
    waiting = [asyncio.ensure_future(limiter.spend(limit, caller)) for caller in "ab"]
    await _ticks(5)
    [script] = scripts
    script.cancel()

    answers = await asyncio.gather(*waiting, return_exceptions=True)

    expected = StoreUnavailable if rule == "closed" else LimitState
    assert [expected, expected] == [type(answer) for answer in answers]
    await asyncio.wait_for(limiter.aclose(), 20)


async def test_charges_that_cannot_be_asked_for_leave_no_caller_waiting(
    limiter: RedisLimiter, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours is reported, and the next run begins afresh."""
    faults: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, at: faults.append(at["exception"]))
    with monkeypatch.context() as failing:
        failing.setattr(store, "run", None)
        answers = await asyncio.gather(*(limiter.spend(THREE, "a") for _ in range(2)))

    assert [True, True] == _spent(answers)
    assert [TypeError] == [type(fault) for fault in faults]
    assert (await limiter.spend(THREE, "b")).allowed


async def test_charges_that_cannot_even_be_counted_here_stop_no_later_run(
    limiter: RedisLimiter,
) -> None:
    """Both mistakes are reported; the caller sees a failed store, and others are served."""
    faults: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, at: faults.append(at["exception"]))
    odd = Limit("odd", rate=3, window_s=10, algorithm="none")
    with pytest.raises(StoreUnavailable, match="not answered"):
        await asyncio.wait_for(limiter.spend(odd, "a"), 20)

    assert [KeyError, KeyError] == [type(fault) for fault in faults]
    assert (await asyncio.wait_for(limiter.spend(THREE, "b"), 20)).allowed
    await asyncio.wait_for(limiter.aclose(), 20)


async def test_a_cancelled_caller_does_not_disturb_others(
    limiter: RedisLimiter, store: FakeStore
) -> None:
    """It stays charged; the others keep their places."""
    store.gate.clear()
    callers = [asyncio.ensure_future(limiter.spend(THREE, "a")) for _ in range(3)]
    await _ticks(3)
    callers[0].cancel()
    store.gate.set()

    states = await asyncio.gather(*callers[1:])

    assert [1, 0] == [state.remaining for state in states]
    assert callers[0].cancelled()


@pytest.mark.parametrize("skew_s", [-FAR_S, -10.0, -0.5, 0.0, 0.5, 10.0, FAR_S])
async def test_windows_follow_the_stores_clock(
    limiter: RedisLimiter, server: Server, clock: FakeClock, skew_s: float
) -> None:
    """The first reply tells the offset of our clock."""
    server.clock.now_s += skew_s

    states = [await limiter.spend(THREE, "a") for _ in range(4)]

    assert [True, True, True, False] == _spent(states)
    assert 4 + (abs(skew_s) >= 10 or skew_s == -0.5) >= len(server.runs)
    [key] = [key for key, count in server.counts.items() if count]
    window = window_number(THREE, int(server.clock() * 1000))
    assert f"limit:three:{window}:{{a}}" == key


async def test_a_retry_charges_only_what_was_not_charged(
    limiter: RedisLimiter, server: Server
) -> None:
    """A wrong clock may be right for an hour's window and wrong for ten seconds'."""
    server.clock.now_s += 60
    hour = Limit("hour", rate=3, window_s=36000)

    states = await asyncio.gather(limiter.spend(hour, "a"), limiter.spend(THREE, "a"))

    assert [2, 2] == [state.remaining for state in states]
    assert [2, 1] == server.runs


async def test_what_the_store_has_counted_is_not_counted_here_as_well(
    limiter: RedisLimiter, server: Server, store: FakeStore
) -> None:
    """Where the retry for others fails; requests that were admitted ahead included."""
    wide = Limit("wide", rate=100, window_s=36000)
    for _ in range(4):
        await limiter.spend(wide, "a")
    server.clock.now_s += 60

    def once(keys: Sequence[str], args: Sequence[str | int | bytes]) -> list[int]:
        store.is_down = True
        return server.spend(keys, args)

    store.scripts["sliding_window"] = once
    assert (await limiter.spend(THREE, "a")).allowed

    assert 95 == (await limiter.spend(wide, "a")).remaining


async def test_a_clock_that_jumps_counts_as_a_store_that_fails(
    limiter: RedisLimiter, server: Server, clock: FakeClock
) -> None:
    """There are two runs at most."""

    def jumping() -> float:
        clock.now_s += FAR_S
        return clock.now_s

    server.clock = jumping  # type: ignore[assignment]  # a clock is any function
    limiter._clock = lambda: 0.0

    with pytest.raises(StoreUnavailable, match="clock"):
        await limiter.spend(Limit("strict", 3, 10, "closed"), "a")

    assert [1, 1] == server.runs


async def test_a_local_limit_is_counted_here_while_the_store_fails(
    limiter: RedisLimiter, store: FakeStore
) -> None:
    """It returns to the store when that is back."""
    store.is_down = True
    alone = await asyncio.gather(*(limiter.spend(THREE, "a") for _ in range(4)))
    store.is_down = False
    back = await limiter.spend(THREE, "a")

    assert [True, True, True, False] == _spent(alone)
    assert (True, 2) == (back.allowed, back.remaining)


async def test_a_limit_that_was_used_up_stays_so_while_the_store_fails(
    limiter: RedisLimiter, store: FakeStore, clock: FakeClock
) -> None:
    """Counting goes on from what the store said last, also of other gateways' requests."""
    other = RedisLimiter(store, LocalLimiter(clock), clock)
    for _ in range(2):
        await other.spend(THREE, "a")
    await limiter.spend(THREE, "a")
    await limiter.spend(THREE, "b")
    store.is_down = True

    alone = [await limiter.spend(THREE, caller) for caller in ("a", "a", "b", "b", "b", "new")]

    assert [False, False, True, True, False, True] == _spent(alone)


async def test_what_was_counted_here_is_not_forgotten_when_the_store_comes_and_goes(
    limiter: RedisLimiter, store: FakeStore
) -> None:
    """A store that flaps gives no caller its limit again and again."""
    store.is_down = True
    first = [await limiter.spend(THREE, "a") for _ in range(2)]
    store.is_down = False
    shared = await limiter.spend(THREE, "a")
    store.is_down = True
    second = [await limiter.spend(THREE, "a") for _ in range(2)]

    assert [True, True, True, True, False] == _spent([*first, shared, *second])


@pytest.mark.parametrize("skew_s", [-25.0, 25.0])
async def test_a_count_goes_on_by_the_stores_clock(
    limiter: RedisLimiter, server: Server, store: FakeStore, skew_s: float
) -> None:
    """Its windows are those that were counted."""
    server.clock.now_s += skew_s
    for _ in range(3):
        await limiter.spend(THREE, "a")
    store.is_down = True

    assert not (await limiter.spend(THREE, "a")).allowed


async def test_an_open_limit_lets_pass_while_the_store_fails(
    limiter: RedisLimiter, store: FakeStore
) -> None:
    """This is what ``open`` means."""
    store.is_down = True

    states = [await limiter.spend(Limit("open", 1, 10, "open"), "a") for _ in range(3)]

    assert [(True, 1)] * 3 == [(state.allowed, state.remaining) for state in states]


async def test_a_closed_limit_refuses_while_the_store_fails(
    limiter: RedisLimiter, store: FakeStore
) -> None:
    """The refusal names the reason."""
    store.is_down = True

    with pytest.raises(StoreUnavailable, match="is down"):
        await limiter.spend(Limit("closed", 1, 10, "closed"), "a")


@pytest.mark.parametrize("rule", ["local", "open", "closed"])
async def test_cancelled_callers_are_not_charged_locally(
    limiter: RedisLimiter, store: FakeStore, rule: str
) -> None:
    """Their futures are done."""
    store.is_down = True
    gone = asyncio.ensure_future(limiter.spend(Limit(rule, 1, 10, rule), "a"))
    await _ticks(1)
    gone.cancel()

    await _ticks(5)
    await limiter.aclose()

    assert gone.cancelled()


async def test_a_close_waits_for_the_run_that_is_under_way(
    limiter: RedisLimiter, store: FakeStore
) -> None:
    """No task is left when the loop stops."""
    store.gate.clear()
    spending = asyncio.ensure_future(limiter.spend(THREE, "a"))
    await _ticks(3)
    closing = asyncio.ensure_future(limiter.aclose())
    await _ticks(3)
    assert not closing.done()
    store.gate.set()

    await closing

    assert (await spending).allowed


async def test_a_close_charges_what_was_admitted_during_the_last_run(
    limiter: RedisLimiter, store: FakeStore, server: Server
) -> None:
    """No request that was admitted ahead is left uncounted."""
    wide = Limit("wide", rate=100, window_s=10)
    await limiter.spend(wide, "a")
    store.gate.clear()
    other = asyncio.ensure_future(limiter.spend(wide, "b"))
    await _ticks(3)
    assert (await limiter.spend(wide, "a")).allowed
    closing = asyncio.ensure_future(limiter.aclose())
    await _ticks(3)
    store.gate.set()

    await closing

    assert (await other).allowed
    assert [1, 2] == sorted(server.counts.values())


async def test_a_bug_in_a_run_is_raised_and_leaves_no_caller_waiting(
    limiter: RedisLimiter, store: FakeStore
) -> None:
    """The callers see a failed store; the log shows the bug."""
    faults: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, at: faults.append(at["exception"]))
    store.gate.clear()
    store.scripts["sliding_window"] = lambda _keys, _args: [0, 1]
    strict = Limit("closed", 1, 10, "closed")
    first = asyncio.ensure_future(limiter.spend(strict, "a"))
    await _ticks(3)
    second = asyncio.ensure_future(limiter.spend(strict, "a"))
    await _ticks(1)
    store.gate.set()

    reasons = await asyncio.gather(first, second, return_exceptions=True)

    assert ["ValueError", "the run before it failed"] == [str(reason) for reason in reasons]
    await _ticks(3)
    assert [ValueError] == [type(fault) for fault in faults]


@pytest.mark.parametrize("caller", ["\ud800", "ä", "a}b", ""])
async def test_any_text_can_name_a_caller(limiter: RedisLimiter, caller: str) -> None:
    """An email address with odd characters gets a count like any other."""
    assert [2, 1] == [(await limiter.spend(THREE, caller)).remaining for _ in range(2)]


async def _ticks(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
