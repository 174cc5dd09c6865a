"""When deliveries are tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hooks.attempts import (
    GIVEN_UP_S,
    LONGEST_S,
    HookAnswer,
    Verdict,
    next_attempt_s,
    retry_after_s,
    verdict,
)

NOW_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (0, Verdict.RETRY),
        (301, Verdict.RETRY),
        (302, Verdict.RETRY),
        (400, Verdict.RETRY),
        (401, Verdict.RETRY),
        (404, Verdict.RETRY),
        (410, Verdict.DEAD),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (503, Verdict.RETRY),
    ],
)
def test_an_answer_says_what_becomes_of_a_delivery(status: int, expected: Verdict) -> None:
    """Success ends it, Gone gives it up, and all else may be a fault that is cured meanwhile."""
    assert expected is verdict(HookAnswer(status, "word"))


def test_waits_grow_up_to_six_hours_for_a_day() -> None:
    """Without jitter: 5 s, 12.5 s, 31 s … and a dozen attempts in all."""
    first_s = at_s = NOW_S
    waits = []
    for attempts in range(1, 40):
        later_s = next_attempt_s(attempts, first_s, at_s, 0, 0.5)
        if later_s is None:
            break
        waits.append(later_s - at_s)
        at_s = later_s
    assert [5.0, 12.5, 31.25] == waits[:3]
    assert waits == sorted(waits)
    assert LONGEST_S == waits[-1]
    assert 10 <= len(waits) <= 16
    assert at_s - first_s <= GIVEN_UP_S


@given(
    st.integers(1, 1000),
    st.floats(0, GIVEN_UP_S),
    st.floats(0, GIVEN_UP_S),
    st.floats(0, 1, exclude_max=True),
)
def test_an_attempt_is_never_early_nor_after_a_day(
    attempts: int, elapsed_s: float, asked_s: float, share: float
) -> None:
    """It waits for as long as the receiver asked, or the delivery is given up."""
    now_s = NOW_S + elapsed_s
    at_s = next_attempt_s(attempts, NOW_S, now_s, asked_s, share)
    if at_s is not None:
        assert at_s - now_s >= max(asked_s, 3.7) - 1e-6
        assert at_s - NOW_S <= GIVEN_UP_S


@pytest.mark.parametrize(
    ("status", "field", "expected_s"),
    [
        (429, "120", 120.0),
        (503, "0", 0.0),
        (503, "Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        (503, "Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        (503, "Fri, 31 Dec 9999 23:59:59 GMT", GIVEN_UP_S),
        (429, "99999999999999999999", GIVEN_UP_S),
        (429, "-5", 0.0),
        (429, "1.5", 0.0),
        (429, "", 0.0),
        (429, "soon", 0.0),
        (429, "٣", 0.0),
        (500, "120", 0.0),
        (200, "120", 0.0),
    ],
)
def test_retry_after_is_obeyed(status: int, field: str, expected_s: float) -> None:
    """With 429 and 503; in both of its forms, and never for longer than a day."""
    assert expected_s == retry_after_s(status, field, NOW_S)
