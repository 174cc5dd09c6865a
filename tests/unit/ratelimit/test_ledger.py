"""What a process knows of callers, and how many of their requests it may admit ahead."""

import asyncio

import pytest

from gateway.core.limit import Limit, LimitState, Spend
from gateway.ratelimit.census import Census
from gateway.ratelimit.charge import Charge
from gateway.ratelimit.ledger import FRESH_S, Ledger, always_waits
from gateway.ratelimit.local import LocalLimiter
from tests.fakes.memory import FakeClock

THOUSAND = Limit("thousand", 1000, 60)
NOW_MS = 1_800_000_000_000


class Counted(Census):
    """A census that has been held."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def last_heard(self) -> int:
        return max(1, self.number)

    def processes(self, now_s: float, for_s: float) -> int:  # noqa: ARG002 (of the census)
        return self.number


def _ledger(processes: int | None = None) -> Ledger:
    clock = FakeClock(NOW_MS / 1000)
    census = None if processes is None else Counted(processes)
    return Ledger(LocalLimiter(clock), clock, census)


@pytest.mark.parametrize(
    ("processes", "most"), [(None, 1000), (1, 25), (2, 12), (4, 6), (26, 0), (0, -1)]
)
def test_all_processes_together_admit_a_small_part_ahead(processes: int | None, most: int) -> None:
    """Without a census it is the only one; one that does not know how many there are waits."""
    assert most == _ledger(processes).most_ahead(THOUSAND, 0.0)


@pytest.mark.parametrize(
    ("limit", "waits"),
    [(THOUSAND, False), (Limit("few", 19, 60), True), (Limit("shut", 1000, 60, "closed"), True)],
)
def test_small_and_closed_limits_always_wait(limit: Limit, waits: bool) -> None:
    """However many processes there are."""
    assert waits == always_waits(limit)
    assert waits == (not _ledger().most_ahead(limit, 0.0))


@pytest.mark.parametrize(
    ("counted", "room"),
    [(0, 500), (499, 1), (500, None), (999, None)],
)
def test_a_caller_that_has_more_than_half_left_has_room(counted: int, room: int | None) -> None:
    """What is pending or waits is not counted yet, and takes of it."""
    ledger, key = _ledger(), (id(THOUSAND), "a")
    ledger.note(Charge(key, THOUSAND), (counted, 0), NOW_MS, ledger.clock(), 1000)
    known = ledger.learnt.find(key)
    assert room == (None if known is None else known.room)

    ledger.pending_charge(key, THOUSAND).ahead += 3
    ledger.take_room(key, 5)
    if known is not None and room is not None:
        assert room - 5 == known.room
        ledger.note(Charge(key, THOUSAND), (counted, 0), NOW_MS, ledger.clock(), 1000)
        known = ledger.learnt.find(key)
        assert known is not None
        assert room - 8 == known.room
        assert ledger.clock() + FRESH_S == known.until_s
    assert [3] == [charge.asked for charge in ledger.take_pending()]
    assert not ledger.pending
    assert not ledger.bundled


def test_a_caller_without_room_is_blocked_until_it_has_some() -> None:
    """And not any more once it has."""
    ledger, key = _ledger(), (id(THOUSAND), "a")
    now_s = ledger.clock()
    ledger.note(Charge(key, THOUSAND), (1000, 0), NOW_MS, now_s, 1000)
    assert ledger.blocks.find(key, 1, now_s)
    assert ledger.learnt.find(key) is None

    ledger.note(Charge(key, THOUSAND), (900, 0), NOW_MS, now_s, 1000)
    assert ledger.blocks.find(key, 1, now_s) is None


def test_the_stores_time_is_known_from_its_replies() -> None:
    """Never later than it is, and for what is counted here never before its last reply."""
    ledger = _ledger()
    ledger.hear_time(NOW_MS + 5000)
    assert NOW_MS + 4999 == ledger.estimate_ms()
    assert NOW_MS + 5000 == ledger.late_ms()


def test_nothing_answers_requests_once_all_is_forgotten() -> None:
    """Neither room nor refusals."""
    ledger, other = _ledger(), (id(THOUSAND), "b")
    ledger.note(Charge((id(THOUSAND), "a"), THOUSAND), (1000, 0), NOW_MS, 0.0, 1000)
    ledger.note(Charge(other, THOUSAND), (1, 0), NOW_MS, 0.0, 1000)
    ledger.forget_all()
    assert 0 == len(ledger.blocks) == len(ledger.learnt)


# --- without the store ----------------------------------------------------------------------------


async def _passed(ledger: Ledger, limit: Limit, asked: int) -> int:
    """Ask so often while the store is away; return how many requests pass."""
    waiting: list[asyncio.Future[LimitState]] = [
        asyncio.get_running_loop().create_future() for _ in range(asked)
    ]
    ledger.count_here(Charge((id(limit), "a"), limit), waiting)
    return sum(answer.result().allowed for answer in waiting)


@pytest.mark.parametrize(
    ("processes", "rate", "counted", "passing"),
    [
        pytest.param(None, 100, 0, 100, id="alone"),
        pytest.param(0, 100, 0, 100, id="never-counted"),
        pytest.param(1, 100, 60, 40, id="alone-and-used"),
        pytest.param(4, 100, 0, 25, id="four"),
        pytest.param(4, 100, 60, 10, id="four-share-what-is-left"),
        pytest.param(4, 100, 100, 0, id="used-up"),
        pytest.param(8, 5, 0, 1, id="more-processes-than-requests"),
    ],
)
async def test_what_is_left_is_divided_while_the_store_is_away(
    processes: int | None, rate: int, counted: int, passing: int
) -> None:
    """Each process lets its part of what the store said was left pass, and no more."""
    ledger, limit = _ledger(processes), Limit("some", rate, 60, algorithm="fixed-window")
    ledger.hear_time(NOW_MS)
    ledger.local.learn(limit, ["a"], [(counted,)], NOW_MS)
    assert passing == await _passed(ledger, limit, 200)


@pytest.mark.parametrize(
    ("processes", "cost", "charged"), [(None, 3, 3), (4, 3, 12), (50, 3, 100), (4, 150, 150)]
)
def test_a_cost_counts_for_all_processes(processes: int | None, cost: int, charged: int) -> None:
    """It never becomes more than the limit has, unless it was that itself."""
    limit = Limit("some", 100, 60)
    assert Spend(limit, "a", charged) == _ledger(processes).for_all(Spend(limit, "a", cost))
