"""Counts of look-ups in a cache."""

import pytest

from gateway.util.hit_count import HitCount


def test_it_begins_at_nothing_and_holds_nothing_else() -> None:
    """It stands in the way of each request: no dictionary behind it."""
    count = HitCount()
    count.hits += 1
    assert (1, 0) == (count.hits, count.misses)
    with pytest.raises(AttributeError):
        count.other = 1  # type: ignore[attr-defined]
