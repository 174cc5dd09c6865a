"""Limits of which some are exact and others approximate."""

import pytest

from gateway.core.limit import Limit, Spend
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.mixed import MixedLimiter
from tests.fakes.limit_server import LimitServer, StillLimiter
from tests.fakes.memory import FakeClock
from tests.fakes.ports import RecordingLimiter
from tests.fakes.store import FakeStore

EXACT = Limit("exact", 5, 60)
HOT = Limit("hot", 100, 60, is_approximate=True)
BOTH = [Spend(EXACT, "a"), Spend(HOT, "a", 2), Spend(EXACT, "b")]


class Parts:
    """A mixed limiter over an exact one that writes down what it is asked."""

    def __init__(self, used_up: str = "", waits: str = "") -> None:
        clock = FakeClock()
        self.server = LimitServer(clock)
        self.diary: list[str] = []
        exact = RecordingLimiter(self.diary, {used_up}, {waits})
        store = FakeStore(clock, self.server.scripts)
        self.hot = StillLimiter(store, LocalLimiter(clock), exact, clock)
        self.mixed = MixedLimiter(exact, self.hot)

    async def counted(self) -> int:
        """What the store has counted of the approximate limit."""
        await self.hot.aclose()
        return sum(self.server.counts.values())


async def test_each_limit_goes_where_it_is_counted() -> None:
    """One by one."""
    parts = Parts()
    assert (await parts.mixed.spend(HOT, "a")).allowed
    assert parts.mixed.spend_now(HOT, "a") is not None
    assert [] == parts.diary
    assert parts.mixed.spend_now(EXACT, "a") is not None
    assert (await parts.mixed.spend(EXACT, "a")).allowed
    await parts.mixed.settle(Spend(EXACT, "a", 2))
    assert [*["limit exact of a"] * 2, "settle 2 of a"] == parts.diary
    await parts.mixed.settle(Spend(HOT, "a", 2))
    assert 4 == await parts.counted()


@pytest.mark.parametrize("is_now", [False, True], ids=["waits", "now"])
async def test_several_are_answered_in_their_order(*, is_now: bool) -> None:
    """Whichever kind each is of."""
    parts = Parts()
    await parts.mixed.spend(HOT, "a")
    states = parts.mixed.spend_all_now(BOTH) if is_now else await parts.mixed.spend_all(BOTH)
    assert states is not None
    assert [EXACT, HOT, EXACT] == [state.limit for state in states]
    assert 3 == await parts.counted()


@pytest.mark.parametrize("is_now", [False, True], ids=["waits", "now"])
async def test_where_an_exact_one_refuses_the_others_are_given_back(*, is_now: bool) -> None:
    """Nothing is told to the store of what was taken."""
    parts = Parts(used_up="exact")
    await parts.mixed.spend(HOT, "a")
    states = parts.mixed.spend_all_now(BOTH) if is_now else await parts.mixed.spend_all(BOTH)
    assert states is not None
    assert not all(state.allowed for state in states)
    assert 1 == await parts.counted()


@pytest.mark.parametrize("is_now", [False, True], ids=["waits", "now"])
async def test_where_an_approximate_one_refuses_no_other_is_asked(*, is_now: bool) -> None:
    """It is known here."""
    parts = Parts()
    for _ in range(101):
        await parts.mixed.spend(HOT, "a")
    states = parts.mixed.spend_all_now(BOTH) if is_now else await parts.mixed.spend_all(BOTH)
    assert states is not None
    assert [HOT] == [state.limit for state in states if not state.allowed]
    assert [] == parts.diary


async def test_what_has_to_wait_charges_nothing() -> None:
    """A caller that is new here, or an exact limit that asks the store."""
    parts = Parts(waits="exact")
    assert parts.mixed.spend_all_now(BOTH) is None
    await parts.mixed.spend(HOT, "a")
    assert parts.mixed.spend_all_now(BOTH) is None
    assert parts.mixed.spend_all_now([Spend(EXACT, "a")]) is None
    assert 1 == await parts.counted()


async def test_limits_of_one_kind_are_charged_as_they_are() -> None:
    """There is nothing to put in order."""
    parts = Parts()
    assert 1 == len(await parts.mixed.spend_all([Spend(EXACT, "a")]))
    assert 1 == len(await parts.mixed.spend_all([Spend(HOT, "a")]))
    assert ["limit exact of a"] == parts.diary


async def test_an_error_of_the_exact_limiter_gives_back() -> None:
    """As of a limit that fails closed."""
    parts = Parts()

    async def fails(_: object) -> list[object]:
        raise ZeroDivisionError

    parts.mixed._exact.spend_all = fails  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        await parts.mixed.spend_all(BOTH)
    assert 0 == await parts.counted()
