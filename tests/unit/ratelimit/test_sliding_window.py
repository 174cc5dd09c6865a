"""The arithmetic of the sliding window."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.sliding_window import (
    last_states,
    retry_after_ms,
    settle,
    states,
    uncounted,
    used,
    window_ms,
    window_number,
)

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no fault of ours."""

TEN_IN_10_S = Limit("ten", rate=10, window_s=10)
WINDOW_STARTS_MS = 170_000

limits = st.builds(
    Limit, name=st.just("any"), rate=st.integers(1, 1000), window_s=st.integers(1, 3600)
)
counts = st.integers(0, 1200)
"""Also more than the rate: it may have been lowered since."""
times_ms = st.integers(0, 2**41)


@pytest.mark.parametrize(
    ("current", "previous", "elapsed_ms", "asked", "allowed"),
    [
        pytest.param(0, 0, 0, 1, 1, id="new-caller"),
        pytest.param(0, 0, 0, 12, 10, id="more-at-once-than-the-rate"),
        pytest.param(10, 0, 9_999, 1, 0, id="all-used-in-this-window"),
        pytest.param(0, 10, 0, 1, 0, id="all-used-in-the-window-that-just-ended"),
        pytest.param(0, 10, 1, 1, 1, id="a-millisecond-later-one-has-slid-out"),
        pytest.param(0, 10, 5_000, 9, 5, id="half-of-it-has-slid-out"),
        pytest.param(4, 10, 5_000, 9, 1, id="and-four-came-since"),
        pytest.param(0, 10, 9_999, 12, 10, id="nearly-all-has-slid-out"),
        pytest.param(30, 0, 0, 1, 0, id="the-rate-was-lowered-meanwhile"),
        pytest.param(0, 0, 0, 0, 0, id="no-request"),
    ],
)
def test_the_estimate_of_the_window_never_exceeds_the_rate(
    current: int, previous: int, elapsed_ms: int, asked: int, allowed: int
) -> None:
    """Requests of the previous window count by the share that is still covered."""
    now_ms = WINDOW_STARTS_MS + elapsed_ms

    assert allowed == settle(TEN_IN_10_S, current, previous, asked, now_ms)


@patient
@given(limits, st.data())
def test_no_fixed_window_is_charged_more_than_the_rate(limit: Limit, data: st.DataObject) -> None:
    """This holds for every order of requests."""
    length_ms = window_ms(limit)
    arrivals = data.draw(
        st.lists(st.tuples(st.integers(0, 4 * length_ms), st.integers(1, 2 * limit.rate)))
    )
    charged: dict[int, int] = {}
    for now_ms, asked in sorted(arrivals):
        window = window_number(limit, now_ms)
        current, previous = charged.get(window, 0), charged.get(window - 1, 0)
        charged[window] = current + settle(limit, current, previous, asked, now_ms)

    assert all(count <= limit.rate for count in charged.values())


@patient
@given(limits, counts, counts, st.integers(0, 1200), times_ms)
def test_as_many_are_allowed_as_there_is_room_for(
    limit: Limit, current: int, previous: int, asked: int, now_ms: int
) -> None:
    """Neither more nor fewer."""
    allowed = settle(limit, current, previous, asked, now_ms)

    assert 0 <= allowed <= asked
    if allowed:
        assert used(limit, current + allowed, previous, now_ms) <= limit.rate
    if allowed < asked:
        assert used(limit, current + allowed, previous, now_ms) >= limit.rate


@patient
@given(limits, st.data())
def test_a_caller_below_the_rate_over_two_windows_is_never_refused(
    limit: Limit, data: st.DataObject
) -> None:
    """The estimate never exceeds the number of requests."""
    previous = data.draw(st.integers(0, limit.rate))
    current = data.draw(st.integers(0, limit.rate - previous))
    asked = limit.rate - previous - current

    assert asked == settle(limit, current, previous, asked, data.draw(times_ms))


@patient
@given(st.builds(Limit, st.just("any"), st.integers(1, 1000), st.integers(2, 3600)))
def test_a_steady_caller_at_the_rate_is_never_refused(limit: Limit) -> None:
    """Evenly spread requests all pass."""
    charged: dict[int, int] = {}
    for i in range(3 * limit.rate):
        now_ms = (2 * i + 1) * window_ms(limit) // (2 * limit.rate)
        window = window_number(limit, now_ms)
        current, previous = charged.get(window, 0), charged.get(window - 1, 0)
        assert 1 == settle(limit, current, previous, 1, now_ms)
        charged[window] = current + 1


def _passes_after(limit: Limit, current: int, previous: int, now_ms: int, wait_ms: int) -> bool:
    """Whether one more would be allowed ``wait_ms`` later, without other requests meanwhile."""
    then_ms = now_ms + wait_ms
    match window_number(limit, then_ms) - window_number(limit, now_ms):
        case 0:
            return settle(limit, current, previous, 1, then_ms) == 1
        case 1:
            return settle(limit, 0, current, 1, then_ms) == 1
        case _:
            return settle(limit, 0, 0, 1, then_ms) == 1


@patient
@given(limits, counts, counts, times_ms)
def test_retry_after_is_exact(limit: Limit, current: int, previous: int, now_ms: int) -> None:
    """A caller that waits that long passes; a millisecond less is too early."""
    wait_ms = retry_after_ms(limit, current, previous, now_ms)

    assert _passes_after(limit, current, previous, now_ms, wait_ms)
    assert wait_ms == 0 or not _passes_after(limit, current, previous, now_ms, wait_ms - 1)


@pytest.mark.parametrize(
    ("current", "previous", "elapsed_ms", "wait_ms"),
    [
        pytest.param(3, 0, 4_000, 0, id="there-is-room"),
        pytest.param(5, 10, 4_000, 1_001, id="in-this-window-as-the-previous-one-slides-out"),
        pytest.param(10, 3, 4_000, 6_001, id="in-the-next-window-as-this-one-slides-out"),
        pytest.param(0, 99, 4_000, 4_990, id="a-heap-from-before-the-rate-was-lowered"),
        pytest.param(10**6, 0, 4_000, 16_000, id="two-windows-on-when-nothing-counts-any-more"),
    ],
)
def test_retry_after_may_be_before_the_end_of_the_window(
    current: int, previous: int, elapsed_ms: int, wait_ms: int
) -> None:
    """The previous window counts less with each moment."""
    now_ms = WINDOW_STARTS_MS + elapsed_ms

    assert wait_ms == retry_after_ms(TEN_IN_10_S, current, previous, now_ms)


def test_requests_charged_together_have_states_in_order() -> None:
    """The remaining count goes down by one each; the rest are refused."""
    heard = states(
        TEN_IN_10_S, current=10, previous=0, allowed=2, asked=4, now_ms=WINDOW_STARTS_MS + 4_000
    )

    assert [
        LimitState(TEN_IN_10_S, True, remaining=1, reset_s=6.0, retry_after_s=0.0),
        LimitState(TEN_IN_10_S, True, remaining=0, reset_s=6.0, retry_after_s=6.001),
        LimitState(TEN_IN_10_S, False, remaining=0, reset_s=6.0, retry_after_s=6.001),
        LimitState(TEN_IN_10_S, False, remaining=0, reset_s=6.0, retry_after_s=6.001),
    ] == heard


@patient
@given(limits, counts, counts, st.integers(0, 50), times_ms)
def test_charging_together_equals_charging_one_by_one(
    limit: Limit, current: int, previous: int, asked: int, now_ms: int
) -> None:
    """The states are the same."""
    allowed = settle(limit, current, previous, asked, now_ms)
    together = states(limit, current + allowed, previous, allowed, asked, now_ms)

    one_by_one = []
    for _ in range(asked):
        one = settle(limit, current, previous, 1, now_ms)
        current += one
        one_by_one += states(limit, current, previous, one, 1, now_ms)
    assert one_by_one == together


def test_an_uncounted_request_has_the_whole_limit_left() -> None:
    """Its state shows no shortage."""
    state = uncounted(TEN_IN_10_S, WINDOW_STARTS_MS + 1)

    assert LimitState(TEN_IN_10_S, True, remaining=10, reset_s=9.999, retry_after_s=0.0) == state


@patient
@given(limits, st.lists(st.tuples(counts, counts), max_size=5), times_ms)
def test_many_callers_are_answered_as_each_alone_is(
    limit: Limit, of_each: list[tuple[int, ...]], now_ms: int
) -> None:
    """One request of each was charged."""
    alone = [states(limit, current, previous, 1, 1, now_ms)[0] for current, previous in of_each]

    assert alone == last_states(limit, of_each, now_ms)


def test_callers_with_as_many_requests_left_share_an_answer() -> None:
    """It is made once for all of them."""
    first, second, other = last_states(TEN_IN_10_S, [(1, 0), (1, 0), (2, 0)], WINDOW_STARTS_MS)

    assert first is second
    assert 8 == other.remaining
