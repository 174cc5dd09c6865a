"""The circuit breaker, as each of its three users configures it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.util.circuit_breaker import MAX_PAUSE_S, CircuitBreaker

Step = tuple[str, float]
"""What happens, and when."""


def magic(failures: int = 5, pause_s: float = 1.0) -> CircuitBreaker:
    """The breaker of Magic's API, whose answers may hold ``Retry-After``."""
    return CircuitBreaker(failures, pause_s, one_trial=False)


def store(pause_s: float = 0.5) -> CircuitBreaker:
    """The breaker of the store: one failure opens it."""
    return CircuitBreaker(1, pause_s)


def asked(breaker: CircuitBreaker, now_s: float) -> float:
    """Ask to make a call: 0 where it is let through, else the seconds to wait."""
    return 0 if breaker.admit(now_s) else breaker.wait_s(now_s)


def play(breaker: CircuitBreaker, events: str, now_s: float) -> None:
    """Count a failure for each ``f`` in ``events``, and a success for each ``s``."""
    for event in events:
        if event == "f":
            breaker.failed(now_s)
        else:
            breaker.succeeded()


@pytest.mark.parametrize(
    ("failures", "events"),
    [(1, ""), (1, "s"), (3, "ff"), (3, "ffs"), (3, "ffsff"), (5, "ffff")],
)
@pytest.mark.parametrize("now_s", [0.0, 10.0, 1_000.0, -5.0])
def test_closed_below_the_threshold(failures: int, events: str, now_s: float) -> None:
    """Too few failures in a row change nothing, at any time of the clock."""
    breaker = CircuitBreaker(failures, 1)
    play(breaker, events, now_s)
    assert breaker.is_closed
    assert breaker.admit(now_s)
    assert breaker.wait_s(now_s) == 0


@pytest.mark.parametrize(
    ("failures", "pause_s", "events", "opened_s", "times"),
    [
        pytest.param(2, 4.0, "ff", 10.0, {10.0: 4.0, 13.0: 1.0, 14.0: 0.0}, id="magic"),
        pytest.param(1, 0.5, "f", 10.0, {10.0: 0.5, 10.25: 0.25, 10.5: 0.0}, id="store"),
        pytest.param(3, 2.0, "ffsfff", 0.0, {0.0: 2.0, 1.5: 0.5, 2.0: 0.0}, id="upstream"),
    ],
)
def test_open_for_a_pause(
    failures: int, pause_s: float, events: str, opened_s: float, times: dict[float, float]
) -> None:
    """Enough failures in a row open it for the pause, and `wait_s` tells what is left."""
    breaker = CircuitBreaker(failures, pause_s)
    play(breaker, events, opened_s)
    assert not breaker.is_closed
    assert times == {now_s: breaker.wait_s(now_s) for now_s in times}
    assert [not left_s for left_s in times.values()] == [breaker.admit(now_s) for now_s in times]


def test_a_failure_after_the_pause_starts_a_new_one() -> None:
    """After the pause, one failure is enough to open it again."""
    breaker = magic(failures=2, pause_s=4.0)
    play(breaker, "ff", 10.0)
    assert [breaker.wait_s(now_s) for now_s in (10.0, 13.0, 14.0)] == [4.0, 1.0, 0.0]
    breaker.failed(15.0)
    assert breaker.wait_s(15.0) == 4.0


@pytest.mark.parametrize(
    ("times", "admitted"),
    [
        (
            (10.0, 10.4, 10.5, 10.5, 10.9, 11.0),
            [False, False, True, False, False, True],
        ),
        ((20.0, 20.0, 20.5), [True, False, True]),
    ],
)
def test_half_open_admits_one_trial_per_pause(times: tuple[float], admitted: list[bool]) -> None:
    """Other calls are refused until a trial has succeeded."""
    breaker = store(pause_s=0.5)
    breaker.failed(10.0)
    assert admitted == [breaker.admit(now_s) for now_s in times]
    assert not breaker.is_closed

    breaker.succeeded()
    assert breaker.is_closed
    assert [True, True] == [breaker.admit(times[-1]) for _ in range(2)]


def test_trials_of_an_upstream() -> None:
    """A failed trial leaves it open, without a longer pause; a success closes it."""
    breaker = CircuitBreaker(failures=3, pause_s=2)
    play(breaker, "ff", 0)
    assert 0 == asked(breaker, 0)
    breaker.succeeded()
    play(breaker, "fff", 0)
    assert [2, 0.5] == [asked(breaker, now_s) for now_s in (0, 1.5)]
    assert [0, 2, 1] == [asked(breaker, now_s) for now_s in (2, 2, 3)]
    breaker.failed(3)
    assert [1, 0, 2] == [asked(breaker, now_s) for now_s in (3, 4, 4)]
    breaker.succeeded()
    assert [0, 0] == [asked(breaker, 4) for _ in range(2)]


@pytest.mark.parametrize("failures", [1, 2, 50])
def test_late_failures_do_not_prolong_the_pause(failures: int) -> None:
    """Calls that were under way when it opened say nothing new."""
    breaker = CircuitBreaker(failures=failures, pause_s=1)
    play(breaker, "f" * failures, 0)
    breaker.failed(0.9)
    assert 0 == asked(breaker, 1)


def test_a_clock_that_was_set_back_ends_the_pause() -> None:
    """The pause is a length of time, not a time of day."""
    breaker = store(pause_s=0.5)
    breaker.failed(1_000.0)
    assert [True, False] == [breaker.admit(10.0), breaker.admit(10.1)]


# --- Retry-After -------------------------------------------------------------------------------


def test_retry_after_opens_at_once() -> None:
    """The first ``Retry-After`` is obeyed, up to a maximum."""
    breaker = magic()
    breaker.failed(10.0, retry_after_s=7.0)
    assert breaker.wait_s(10.0) == 7.0
    breaker.failed(10.0, retry_after_s=1e9)
    assert breaker.wait_s(10.0) == MAX_PAUSE_S


def test_no_failure_shortens_a_pause() -> None:
    """A late failure of another call does not cut short what ``Retry-After`` asked for."""
    breaker = magic(failures=1, pause_s=1.0)
    breaker.failed(10.0, retry_after_s=60.0)
    breaker.failed(10.0)
    breaker.failed(10.0, retry_after_s=0.0)
    assert breaker.wait_s(10.0) == 60.0


def test_a_late_success_does_not_shorten_a_retry_after() -> None:
    """Only a call made after that pause closes the circuit."""
    breaker = magic()
    breaker.failed(10.0, retry_after_s=60.0)
    breaker.succeeded()
    assert [59.0, 1.0] == [asked(breaker, now_s) for now_s in (11.0, 69.0)]

    assert [0, 0] == [asked(breaker, 70.0) for _ in range(2)]
    breaker.succeeded()
    assert breaker.is_closed


def test_after_a_retry_after_the_threshold_counts_as_before() -> None:
    """One more failure is too few for a pause; a success closes it."""
    breaker = magic(failures=3)
    breaker.failed(10.0, retry_after_s=60.0)
    breaker.failed(71.0)
    assert [0, 0] == [asked(breaker, now_s) for now_s in (71.0, 71.0)]
    breaker.failed(71.0)
    assert [1.0, 0, 0] == [asked(breaker, now_s) for now_s in (71.0, 72.0, 72.0)]
    breaker.succeeded()
    assert breaker.is_closed


@pytest.mark.parametrize("failures", [1, 5])
def test_a_straggler_takes_no_trial_away(failures: int) -> None:
    """A call that was made before the pause, and fails after it, tells nothing new."""
    breaker = CircuitBreaker(failures, pause_s=10.0, reopens=False)
    play(breaker, "f" * failures, 0.0)
    breaker.failed(10.0)
    assert breaker.admit(10.01)
    breaker.succeeded()
    assert breaker.is_closed


@pytest.mark.parametrize("retry_after_s", [None, 0.0])
def test_retry_after_of_nothing_opens_nothing(retry_after_s: float | None) -> None:
    """``Retry-After: 0`` is a failure like any other."""
    breaker = magic(failures=2)
    breaker.failed(10.0, retry_after_s)
    assert breaker.is_closed


@given(
    st.integers(1, 4),
    st.floats(0.1, 10),
    st.lists(st.tuples(st.sampled_from("fras"), st.floats(-20, 20)), max_size=60),
)
def test_no_pause_exceeds_the_maximum(failures: int, pause_s: float, steps: list[Step]) -> None:
    """Whatever happens, and wherever the clock goes, the next trial is at most a pause away."""
    breaker, now_s = CircuitBreaker(failures, pause_s, max_pause_s=15), 0.0
    for event, later_s in steps:
        now_s += later_s
        if event == "f":
            breaker.failed(now_s)
        elif event == "r":
            breaker.failed(now_s, retry_after_s=later_s)
        elif event == "a":
            assert breaker.admit(now_s) or breaker.wait_s(now_s) > 0
        else:
            breaker.succeeded()
        assert 0 <= breaker.wait_s(now_s) <= 15


def test_a_trial_that_fails_after_its_pause_starts_a_new_one() -> None:
    """A store that is silent costs one caller the time-out, not each caller in turn."""
    breaker = store(pause_s=0.2)
    breaker.failed(0.0)
    assert 0 == asked(breaker, 0.5)
    breaker.failed(1.5)
    assert asked(breaker, 1.6) == pytest.approx(0.1)
    assert 0 == asked(breaker, 1.75)
