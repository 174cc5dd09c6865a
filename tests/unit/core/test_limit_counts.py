"""What limits have decided."""

import pytest

from gateway.core.limit import UNCHARGED, Limit, LimitState
from gateway.core.limit_counts import LimitCounts


@pytest.mark.parametrize(
    ("allowed", "remaining", "expected"),
    [(True, 0, (1, 0, 0)), (False, 0, (0, 1, 0)), (True, UNCHARGED, (0, 0, 1))],
    ids=["allowed", "refused", "let-through-by-a-shadow-limit"],
)
def test_a_decision_counts_once(
    allowed: bool,
    remaining: int,
    expected: tuple[int, int, int],
) -> None:
    """Each is one of three; the last place that there was is allowed."""
    counts = LimitCounts()
    counts.note(LimitState(Limit("one", 1, 60), allowed, remaining, 1.0, 0.0))
    assert expected == (counts.allowed, counts.refused, counts.shadowed)
