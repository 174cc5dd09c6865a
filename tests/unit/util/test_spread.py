"""The spread of lifetimes."""

from itertools import pairwise

import pytest

from gateway.util.spread import Spread


def test_the_first_lifetime_is_whole_and_none_is_longer() -> None:
    """What is stale after a second stays so; no lifetime is under three quarters."""
    spread = Spread()
    shares = [spread.share() for _ in range(10_000)]

    assert 1.0 == shares[0] == max(shares)
    assert 0.75 < min(shares)


@pytest.mark.parametrize("count", [5, 20, 200, 1000])
def test_entries_of_one_moment_end_evenly_spread(count: int) -> None:
    """No gap between two ends is over thrice what an even division has, whatever the count."""
    spread = Spread()
    ends = sorted([0.75, *(spread.share() for _ in range(count)), 1.0])

    assert max(later - earlier for earlier, later in pairwise(ends)) < 3 * 0.25 / count
