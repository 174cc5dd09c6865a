"""The arithmetic of the fixed window."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.fixed_window import FixedWindow
from gateway.ratelimit.sliding_window import window_ms, window_number

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

THREE = Limit("three", rate=3, window_s=10, algorithm="fixed-window")
FIXED = FixedWindow()
STARTS_MS = 170_000

limits = st.builds(
    Limit, name=st.just("any"), rate=st.integers(1, 1000), window_s=st.integers(1, 3600)
)


@patient
@given(limits, st.data())
def test_no_window_is_charged_more_than_the_rate(limit: Limit, data: st.DataObject) -> None:
    """Nor less, where as many were asked for."""
    length_ms = window_ms(limit)
    arrivals = data.draw(
        st.lists(st.tuples(st.integers(0, 4 * length_ms), st.integers(1, 2 * limit.rate)))
    )
    known: tuple[int, ...] | None = None
    charged: dict[int, int] = {}
    asked_in: dict[int, int] = {}
    for now_ms, asked in sorted(arrivals):
        known, states = FIXED.charge(limit, known, asked, now_ms)
        window = window_number(limit, now_ms)
        passed = sum(state.allowed for state in states)
        charged[window] = charged.get(window, 0) + passed
        asked_in[window] = asked_in.get(window, 0) + asked

    assert charged == {window: min(limit.rate, asked) for window, asked in asked_in.items()}


def test_a_window_begins_from_zero() -> None:
    """What was used up before its border does not count after it."""
    known, before = FIXED.charge(THREE, None, 4, STARTS_MS + 9_999)
    _, after = FIXED.charge(THREE, known, 4, STARTS_MS + 10_000)

    assert [True, True, True, False] == [state.allowed for state in before]
    assert [True, True, True, False] == [state.allowed for state in after]


def test_times_to_wait_are_those_of_the_border() -> None:
    """The count falls there, and not before."""
    _, states = FIXED.charge(THREE, (17, 2), 2, STARTS_MS + 4_000)

    assert [
        LimitState(THREE, True, remaining=0, reset_s=6.0, retry_after_s=6.0),
        LimitState(THREE, False, remaining=0, reset_s=6.0, retry_after_s=6.0),
    ] == states


def test_a_rate_that_was_lowered_leaves_nothing() -> None:
    """A count above it is no negative number of requests."""
    _, [state] = FIXED.charge(THREE, (17, 9), 1, STARTS_MS)

    assert not state.allowed


def test_the_larger_count_of_one_window_is_kept() -> None:
    """What was counted here while the store could not, or there by others."""
    at = STARTS_MS + 1
    assert [(17, 3)] == FIXED.learn(THREE, [(17, 1)], [(3,)], at)
    assert [(17, 2)] == FIXED.learn(THREE, [(17, 2)], [(1,)], at)
    assert [(17, 1)] == FIXED.learn(THREE, [(16, 3)], [(1,)], at)
    assert [(17, 1)] == FIXED.learn(THREE, [None], [(1,)], at)


def test_an_uncounted_request_has_the_whole_limit_left() -> None:
    """Its state shows no shortage."""
    state = FIXED.uncounted(THREE, STARTS_MS + 1)

    assert LimitState(THREE, True, remaining=3, reset_s=9.999, retry_after_s=0.0) == state


def test_the_next_window_is_named_too() -> None:
    """The server's clock may be in it already."""
    assert ("limit:three:17:", "limit:three:18:") == FIXED.names(THREE, STARTS_MS)
