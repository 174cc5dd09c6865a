"""The arithmetic of limits on requests that are under way."""

import pytest

from gateway.core.limit import Limit
from gateway.ratelimit.concurrency import RETRY_S, answers, grant, key_name

THREE = Limit("uploads", 3, 60, algorithm="concurrency")


@pytest.mark.parametrize(
    ("held", "asked", "granted"),
    [
        pytest.param(0, 2, 2, id="all"),
        pytest.param(2, 2, 1, id="the-first"),
        pytest.param(3, 2, 0, id="none"),
        pytest.param(5, 2, 0, id="more-are-held-than-allowed"),
    ],
)
def test_as_many_leases_are_granted_as_are_free(held: int, asked: int, granted: int) -> None:
    """Leases that are renewed late may be more than the limit; then none is free."""
    assert granted == grant(THREE, held, asked)


def test_those_that_came_first_are_granted() -> None:
    """Each is told how many are free after it; a refused one, to ask again in a second."""
    told = answers(THREE, 3, 2, 3)
    assert [(True, 1), (True, 0), (False, 0)] == [(each.allowed, each.remaining) for each in told]
    assert [0.0, 0.0, RETRY_S] == [each.retry_after_s for each in told]


def test_the_leases_of_a_caller_are_one_key() -> None:
    """Named after the limit."""
    assert "limit:uploads:leases:" == key_name(THREE)
