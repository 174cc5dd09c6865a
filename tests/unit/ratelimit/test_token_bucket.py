"""The arithmetic of the token bucket."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.sliding_window import window_ms
from gateway.ratelimit.token_bucket import TokenBucket, debt_at, retry_after_ms, room, settle

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

BUCKET = TokenBucket()
TEN = Limit("ten", rate=10, window_s=10, algorithm="token-bucket", burst=4)
"""A token a second, four at the most."""
NOW_MS = 170_000

limits = st.builds(
    Limit,
    name=st.just("any"),
    rate=st.integers(1, 1000),
    window_s=st.integers(1, 3600),
    burst=st.none() | st.integers(1, 2000),
)
arrivals_of_windows = st.lists(st.tuples(st.floats(0, 4), st.integers(1, 2000)), max_size=30)


def _passed(limit: Limit, arrivals: list[tuple[float, int]]) -> list[tuple[int, int]]:
    """Charge requests at times in windows; return how many passed at which time in ms."""
    known: tuple[int, ...] | None = None
    passed = []
    for windows, asked in sorted(arrivals):
        now_ms = int(windows * window_ms(limit))
        known, states = BUCKET.charge(limit, known, asked, now_ms)
        passed.append((now_ms, sum(state.allowed for state in states)))
    return passed


@patient
@given(limits, arrivals_of_windows)
def test_no_stretch_gets_more_than_the_burst_and_the_rate(
    limit: Limit, arrivals: list[tuple[float, int]]
) -> None:
    """Wherever a stretch of a window's length begins."""
    passed = _passed(limit, arrivals)

    for start_ms, _ in passed:
        in_window = sum(n for at, n in passed if start_ms <= at < start_ms + window_ms(limit))
        assert in_window <= limit.capacity + limit.rate


@patient
@given(st.builds(Limit, st.just("any"), st.integers(1, 1000), st.integers(2, 3600)))
def test_a_steady_caller_at_the_rate_is_never_refused(limit: Limit) -> None:
    """Evenly spread requests all pass, with room for two, as clocks count whole milliseconds."""
    limit = Limit("any", limit.rate, limit.window_s, burst=2)
    known: tuple[int, ...] | None = None
    for i in range(3 * limit.rate):
        now_ms = -(-i * window_ms(limit) // limit.rate)
        known, [state] = BUCKET.charge(limit, known, 1, now_ms)
        assert state.allowed


@patient
@given(limits, st.integers(0, 3000), st.integers(0, 10**6))
def test_retry_after_is_exact(limit: Limit, tokens: int, parts: int) -> None:
    """A caller that waits that long passes; a millisecond less is too early."""
    debt = tokens * window_ms(limit) + parts
    wait_ms = retry_after_ms(limit, debt)

    assert 1 == settle(limit, debt_at(limit, (debt, 0), wait_ms), 1)
    assert wait_ms == 0 or 0 == settle(limit, debt_at(limit, (debt, 0), wait_ms - 1), 1)


@patient
@given(limits, st.integers(0, 3000), st.integers(0, 50))
def test_charging_together_equals_charging_one_by_one(
    limit: Limit, tokens: int, asked: int
) -> None:
    """What is told is the same, but for the time until the bucket is full, and what is kept."""
    known: tuple[int, ...] = (tokens * window_ms(limit), NOW_MS)
    kept, together = BUCKET.charge(limit, known, asked, NOW_MS)

    one_by_one: list[LimitState] = []
    for _ in range(asked):
        known, states = BUCKET.charge(limit, known, 1, NOW_MS)
        one_by_one += states
    assert [state._replace(reset_s=0) for state in one_by_one] == [
        state._replace(reset_s=0) for state in together
    ]
    assert known == kept


def test_a_burst_passes_and_then_the_rate() -> None:
    """Four at once; then one a second."""
    known, burst = BUCKET.charge(TEN, None, 5, NOW_MS)
    known, early = BUCKET.charge(TEN, known, 1, NOW_MS + 999)
    _, due = BUCKET.charge(TEN, known, 1, NOW_MS + 1000)

    assert [
        LimitState(TEN, True, remaining=3, reset_s=4.0, retry_after_s=0.0),
        LimitState(TEN, True, remaining=2, reset_s=4.0, retry_after_s=0.0),
        LimitState(TEN, True, remaining=1, reset_s=4.0, retry_after_s=0.0),
        LimitState(TEN, True, remaining=0, reset_s=4.0, retry_after_s=1.0),
        LimitState(TEN, False, remaining=0, reset_s=4.0, retry_after_s=1.0),
    ] == burst
    assert [False, True] == [early[0].allowed, due[0].allowed]


def test_a_caller_that_stays_away_gets_no_more_than_the_burst() -> None:
    """A full bucket does not overflow."""
    known, _ = BUCKET.charge(TEN, None, 4, NOW_MS)
    _, states = BUCKET.charge(TEN, known, 9, NOW_MS + 10**9)

    assert 4 == sum(state.allowed for state in states)


def test_a_clock_that_is_set_back_gives_and_takes_nothing() -> None:
    """The debt stays what it was."""
    assert 12_345 == debt_at(TEN, (12_345, NOW_MS), NOW_MS - 5000)


def test_a_burst_that_was_lowered_leaves_nothing() -> None:
    """A debt above it is no negative number of tokens."""
    assert 0 == room(TEN, 999_999)


@pytest.mark.parametrize(
    ("known", "counted", "kept"),
    [
        pytest.param(None, 500, 500, id="nothing-known"),
        pytest.param((9_000, NOW_MS - 100), 500, 8_000, id="more-was-counted-here"),
        pytest.param((900, NOW_MS - 10), 5_000, 5_000, id="more-was-counted-there"),
    ],
)
def test_the_larger_debt_is_kept(known: tuple[int, ...] | None, counted: int, kept: int) -> None:
    """Less what was regained since."""
    assert [(kept, NOW_MS)] == BUCKET.learn(TEN, [known], [(counted,)], NOW_MS)


def test_without_a_burst_the_rate_may_come_at_once() -> None:
    """The bucket is as large as the rate."""
    limit = Limit("any", rate=3, window_s=60)
    _, states = BUCKET.charge(limit, None, 9, NOW_MS)

    assert 3 == sum(state.allowed for state in states)


def test_an_uncounted_request_has_the_whole_bucket_left() -> None:
    """Its state shows no shortage."""
    assert LimitState(TEN, True, 4, reset_s=0.0, retry_after_s=0.0) == BUCKET.uncounted(TEN, NOW_MS)
