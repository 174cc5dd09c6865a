"""The answers to requests that are charged together."""

import pytest

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.answers import answers

TEN = Limit("ten", rate=10, window_s=10)


@pytest.mark.parametrize(
    ("left", "allowed", "asked", "told"),
    [
        pytest.param(2, 3, 3, [(True, 4, 0.0), (True, 3, 0.0), (True, 2, 0.0)], id="all-pass"),
        pytest.param(0, 1, 1, [(True, 0, 7.0)], id="the-last-one-tells-when-there-is-more"),
        pytest.param(
            0, 1, 3, [(True, 0, 7.0), (False, 0, 7.0), (False, 0, 7.0)], id="those-after-it-do-not"
        ),
        pytest.param(0, 0, 2, [(False, 0, 7.0), (False, 0, 7.0)], id="none-passes"),
        pytest.param(5, 0, 0, [], id="none-asked"),
    ],
)
def test_requests_are_answered_in_order(
    left: int, allowed: int, asked: int, told: list[tuple[bool, int, float]]
) -> None:
    """The first pass, with one less left after each; the others learn when to come again."""
    states = answers(TEN, left, allowed, asked, reset_s=9.0, retry_after_s=7.0)

    assert states == [LimitState(TEN, ok, remaining, 9.0, wait) for ok, remaining, wait in told]
