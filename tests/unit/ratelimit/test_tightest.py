"""Which of several limits an answer tells of."""

import pytest

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.tightest import refusal_of, tightest


def state(
    name: str, remaining: int, *, rate: int = 10, retry_after_s: float = 0.0, reset_s: float = 9.0
) -> LimitState:
    """A state that refuses where there is something to wait for and nothing left."""
    allowed = bool(remaining) or not retry_after_s
    return LimitState(Limit(name, rate, 60), allowed, remaining, reset_s, retry_after_s)


@pytest.mark.parametrize(
    ("states", "name"),
    [
        pytest.param([state("a", 5), state("b", 3)], "b", id="less-left"),
        pytest.param([state("a", 5), state("b", 30, rate=100)], "b", id="a-lower-share"),
        pytest.param([state("a", 5), state("b", 5, reset_s=10)], "b", id="of-equals-the-longest"),
        pytest.param([state("a", 5), state("b", 5)], "a", id="of-the-same-the-first"),
        pytest.param([state("a", 5), state("b", 0)], "b", id="nothing-left"),
    ],
)
def test_the_lowest_share_is_told(states: list[LimitState], name: str) -> None:
    """A client that heeds it is refused by none of the others."""
    assert name == tightest(states).limit.name


@pytest.mark.parametrize(
    ("states", "name"),
    [
        pytest.param([state("a", 5), state("b", 0)], None, id="none-refuses"),
        pytest.param([state("a", 5), state("b", 0, retry_after_s=3)], "b", id="one"),
        pytest.param(
            [state("a", 0, retry_after_s=3), state("b", 0, retry_after_s=30)], "b", id="longer"
        ),
        pytest.param(
            [state("a", 0, retry_after_s=3, reset_s=8), state("b", 0, retry_after_s=3)],
            "b",
            id="of-equals-the-longest",
        ),
        pytest.param([], None, id="no-limit"),
    ],
)
def test_the_longest_wait_is_told(states: list[LimitState], name: str | None) -> None:
    """A client that waits for so long is let in by all of them."""
    refusal = refusal_of(states)
    assert name == (refusal and refusal.limit.name)
