"""What a process admits of a caller by itself."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.known_caller import KnownCaller, share

LIMIT = Limit("hot", 100, 60, is_approximate=True)
GOES_ON = LimitState(LIMIT, True, 50, 9.0, 0.0)
USED_UP = LimitState(LIMIT, False, 0, 9.0, 4.0)


@pytest.fixture
def known() -> KnownCaller:
    """A caller that has 50 left, as the store has just said."""
    known = KnownCaller(LIMIT, "a")
    known.hear(50, GOES_ON, 0.1)
    return known


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        pytest.param(LIMIT, 10, id="a-tenth"),
        pytest.param(replace(LIMIT, rate=5), 1, id="one-at-least"),
        pytest.param(replace(LIMIT, burst=300), 30, id="a-tenth-of-the-burst"),
    ],
)
def test_a_process_admits_a_share_by_itself(limit: Limit, most: int) -> None:
    """A tenth of what may come at once."""
    assert most == share(limit)


def test_a_new_caller_waits() -> None:
    """Nothing is known of what is left."""
    assert KnownCaller(LIMIT, "a").take(1, 0.0) is None


def test_the_share_is_admitted_and_then_the_store_is_asked(known: KnownCaller) -> None:
    """Each is told what is left, as far as this process knows."""
    states = [known.take(1, 0.0) for _ in range(10)]
    assert list(range(49, 39, -1)) == [state.remaining for state in states if state]
    assert known.take(1, 0.0) is None
    assert 10 == known.spent


def test_what_is_under_way_to_the_store_counts(known: KnownCaller) -> None:
    """A run that tells of requests gives no new budget before its reply."""
    for _ in range(6):
        known.take(1, 0.0)
    known.begin_run()
    states = [known.take(1, 0.0) for _ in range(5)]
    assert [True] * 4 + [False] == [state is not None for state in states]
    known.hear(44, GOES_ON, 0.1)
    assert (4, 6) == (known.spent, known.budget)


def test_no_more_is_admitted_than_was_left(known: KnownCaller) -> None:
    """Where that is less than the share."""
    known.hear(3, GOES_ON, 0.1)
    assert [True] * 3 + [False] == [known.take(1, 0.0) is not None for _ in range(4)]


def test_a_used_up_limit_refuses_for_a_while(known: KnownCaller) -> None:
    """Then the store is asked again."""
    known.hear(0, USED_UP, 0.1)
    assert USED_UP == known.take(1, 0.09)
    assert known.take(1, 0.1) is None


def test_a_later_cost_is_told_with_the_others(known: KnownCaller) -> None:
    """It may exceed the share; only what was not told yet is given back here."""
    assert known.settle(30)
    assert (30, 0) == (known.spent, known.budget)
    assert known.settle(-30)
    assert not known.settle(-1)
    assert 0 == known.spent


def test_what_is_given_back_after_it_was_told_is_told_less_later(known: KnownCaller) -> None:
    """The store is never told a negative number."""
    known.take(5, 0.0)
    known.begin_run()
    known.give_back(5)
    known.hear(45, GOES_ON, 0.1)
    assert (-5, 10) == (known.spent, known.budget)
    state = known.take(1, 0.0)
    assert state is not None
    assert 49 == state.remaining
    known.begin_run()
    assert (0, -4) == (known.told, known.spent)


def test_a_caller_is_idle_after_a_look_without_a_request(known: KnownCaller) -> None:
    """One with something to tell is not."""
    assert not known.is_idle()
    assert known.is_idle()
    known.take(1, 0.0)
    assert [False, False] == [known.is_idle(), known.is_idle()]
    known.begin_run()
    assert not known.is_idle()


async def test_those_that_wait_are_answered_in_order(known: KnownCaller) -> None:
    """One that is larger than the share, alone; none passes it by, and a client may have left."""
    loop = asyncio.get_running_loop()
    answers = [loop.create_future() for _ in range(6)]
    known.waiting = list(zip(answers, [8, 1, 30, 1, 1, 60], strict=True))
    answers[1].cancel()
    assert known.take(1, 0.0) is None

    known.hear(50, GOES_ON, 0.1)
    assert [True, True, False] == [each.done() for each in answers[:3]]
    assert 8 == known.spent
    known.begin_run()
    known.hear(42, GOES_ON, 0.1)
    assert answers[2].result().allowed
    known.begin_run()
    known.hear(12, GOES_ON, 0.1)
    known.begin_run()
    known.hear(10, GOES_ON, 0.1)

    assert [True, True] == [each.result().allowed for each in answers[3:5]]
    refused = answers[5].result()
    assert (False, 10, 9.0) == (refused.allowed, refused.remaining, refused.retry_after_s)


async def test_all_that_wait_are_refused_where_nothing_is_left(known: KnownCaller) -> None:
    """With the store's words."""
    answer = asyncio.get_running_loop().create_future()
    known.waiting = [(answer, 1)]
    known.hear(0, USED_UP, 0.1)
    assert USED_UP == answer.result()
