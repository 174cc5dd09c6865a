"""The table of rate-limit algorithms: a toy algorithm shows what adding one takes."""

from collections.abc import Sequence
from typing import get_args

import pytest

from gateway.config.limits import LimitSettings
from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState
from gateway.ratelimit import concurrency
from gateway.ratelimit.algorithm import ALGORITHMS, LimitAlgorithm
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore


class Quota:
    """A toy: so many requests, and never any more."""

    name = "quota"
    script = "-- see `spend`"
    width = 1

    def names(self, limit: Limit, now_ms: int) -> tuple[str, ...]:  # noqa: ARG002
        return (f"quota:{limit.name}:",)

    def args(
        self,
        limit: Limit,
        asked: Sequence[int],
        now_ms: int,  # noqa: ARG002
    ) -> Sequence[int]:
        return [number for each in asked for number in (limit.rate, each)]

    def states(
        self,
        limit: Limit,
        counts: Sequence[int],
        allowed: int,
        asked: int,
        now_ms: int,  # noqa: ARG002
    ) -> list[LimitState]:
        left = limit.rate - counts[0]
        granted = [LimitState(limit, True, left + n, 1.0, 0.0) for n in range(allowed)]
        return granted[::-1] + [LimitState(limit, False, 0, 1.0, 9.0)] * (asked - allowed)

    def last_states(
        self, limit: Limit, counts: Sequence[tuple[int, ...]], now_ms: int
    ) -> list[LimitState]:
        return [self.states(limit, each, 1, 1, now_ms)[0] for each in counts]

    def uncounted(self, limit: Limit, now_ms: int) -> LimitState:  # noqa: ARG002
        return LimitState(limit, True, limit.rate, 1.0, 0.0)

    def left(
        self,
        limit: Limit,
        counts: Sequence[int],
        now_ms: int,  # noqa: ARG002
    ) -> int:
        return limit.rate - counts[0]

    def answer(
        self,
        limit: Limit,
        counts: Sequence[int],
        cost: int,  # noqa: ARG002
        now_ms: int,
        *,
        is_allowed: bool,
    ) -> LimitState:
        [state] = self.states(limit, counts, int(is_allowed), 1, now_ms)
        return state._replace(remaining=self.left(limit, counts, now_ms))

    def counts(
        self,
        limit: Limit,  # noqa: ARG002
        known: tuple[int, ...] | None,
        now_ms: int,  # noqa: ARG002
    ) -> tuple[int, ...]:
        return known or (0,)

    def add(
        self, limit: Limit, known: tuple[int, ...] | None, cost: int, now_ms: int
    ) -> tuple[int, ...]:
        return (self.counts(limit, known, now_ms)[0] + cost,)

    def charge(
        self, limit: Limit, known: tuple[int, ...] | None, asked: int, now_ms: int
    ) -> tuple[tuple[int, ...], list[LimitState]]:
        spent = known[0] if known else 0
        allowed = min(asked, limit.rate - spent)
        counts = (spent + allowed,)
        return counts, self.states(limit, counts, allowed, asked, now_ms)

    def learn(
        self,
        limit: Limit,  # noqa: ARG002
        known: Sequence[tuple[int, ...] | None],
        counts: Sequence[tuple[int, ...]],
        now_ms: int,  # noqa: ARG002
    ) -> list[tuple[int, ...]]:
        return [
            (max(heard[0], own[0] if own else 0),) for own, heard in zip(known, counts, strict=True)
        ]


class QuotaServer:
    """What the toy's script would do in the store."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.spent: dict[str, int] = {}

    def spend(self, keys: Sequence[str], args: Sequence[str | int | bytes]) -> list[int]:
        reply = [int(self.clock() * 1000)]
        numbers = [int(arg) for arg in args]
        for key, rate, asked in zip(keys, numbers[::2], numbers[1::2], strict=True):
            allowed = min(asked, rate - self.spent.get(key, 0))
            self.spent[key] = self.spent.get(key, 0) + allowed
            reply += [allowed, self.spent[key]]
        return reply


TWO = Limit("two", 2, 10, algorithm="quota")
WINDOW = Limit("two", 2, 10)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "quota", Quota())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_toy_counts_in_this_process() -> None:
    """Beside the other algorithm, which keeps other numbers under the same name."""
    clock = FakeClock()
    limiter = LocalLimiter(clock)
    assert [True, True, False] == [(await limiter.spend(TWO, "a")).allowed for _ in range(3)]
    assert (await limiter.spend(WINDOW, "a")).allowed
    clock.now_s += 3600
    assert not (await limiter.spend(TWO, "a")).allowed


async def test_a_toy_counts_in_the_store(clock: FakeClock) -> None:
    """By its own script, with its own keys and arguments."""
    server = QuotaServer(clock)
    limiter = RedisLimiter(FakeStore(clock, {"quota": server.spend}), LocalLimiter(clock), clock)
    states = [await limiter.spend(TWO, "a") for _ in range(3)]
    assert [(True, 1), (True, 0), (False, 0)] == [(s.allowed, s.remaining) for s in states]
    assert {"quota:two:{a}": 2} == server.spent


async def test_limits_of_several_algorithms_are_settled_together(clock: FakeClock) -> None:
    """Where the script of one fails, only its requests are counted here instead."""
    store = FakeStore(clock, {"quota": QuotaServer(clock).spend})
    limiter = RedisLimiter(store, LocalLimiter(clock), clock)
    store.scripts["sliding_window"] = _unavailable
    assert (await limiter.spend(WINDOW, "a")).allowed
    assert 1 == (await limiter.spend(TWO, "a")).remaining
    assert [("run", "sliding_window"), ("run", "quota")] == store.asked


def _unavailable(_keys: Sequence[str], _args: Sequence[str | int | bytes]) -> object:
    raise StoreUnavailable("is down")


def test_a_toy_is_an_algorithm() -> None:
    """As far as types tell."""
    toy: LimitAlgorithm = Quota()
    assert 1 == toy.width


def test_the_config_names_the_lines_of_the_table() -> None:
    """A name without a line would fail at the first request."""
    configured = get_args(LimitSettings.model_fields["algorithm"].annotation)
    assert (ALGORITHMS.keys() - {"quota"}) | {concurrency.NAME} == set(configured)
