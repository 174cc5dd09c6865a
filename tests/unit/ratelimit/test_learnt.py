"""What the store has told of callers is kept while it is fresh, and bounded."""

import pytest

from gateway.core.limit import Limit
from gateway.ratelimit.charge import Charge
from gateway.ratelimit.learnt import Learnt

LIMIT = Limit("any", 1, 10)
FRESH_S = 0.5


@pytest.fixture
def learnt() -> Learnt:
    return Learnt(FRESH_S, max_callers=6)


def _kept(learnt: Learnt, *callers: str, now_s: float) -> None:
    for caller in callers:
        learnt.open(now_s)[0, caller] = Charge((0, caller), LIMIT)


def _known(learnt: Learnt) -> str:
    return "".join(caller for caller in "abcdefgh" if learnt.find((0, caller)) is not None)


def test_what_is_fresh_is_found(learnt: Learnt) -> None:
    """In whichever generation it is, the last that was learnt counts."""
    _kept(learnt, "a", now_s=10.0)
    _kept(learnt, "b", now_s=10.4)
    _kept(learnt, "c", "a", now_s=10.6)

    last = learnt.find((0, "a"))
    _kept(learnt, "a", now_s=10.7)

    assert "abc" == _known(learnt)
    assert last is not learnt.find((0, "a"))


def test_what_is_stale_is_dropped(learnt: Learnt) -> None:
    """Not before its time, and one generation later at the latest."""
    _kept(learnt, "a", now_s=10.0)
    _kept(learnt, "b", now_s=10.5)
    assert "ab" == _known(learnt)

    _kept(learnt, "c", now_s=11.0)

    assert "bc" == _known(learnt)


def test_new_callers_end_no_others(learnt: Learnt) -> None:
    """Full, it drops what was learnt longest ago."""
    _kept(learnt, *"abcdefg", now_s=10.0)

    assert "defg" == _known(learnt)
    assert 4 == len(learnt)


def test_a_clock_that_was_set_back_begins_a_generation(learnt: Learnt) -> None:
    """Else the younger would grow until the clock has caught up."""
    _kept(learnt, "a", now_s=1000.0)
    _kept(learnt, "b", now_s=10.0)
    _kept(learnt, "c", now_s=10.6)

    assert "bc" == _known(learnt)


def test_one_caller_is_forgotten_or_all(learnt: Learnt) -> None:
    """In both generations."""
    _kept(learnt, "a", "b", now_s=10.0)
    _kept(learnt, "a", "c", now_s=10.6)

    learnt.forget((0, "a"))
    assert "bc" == _known(learnt)

    learnt.clear()
    assert "" == _known(learnt)


def test_a_caller_is_forgotten_by_the_name_of_a_limit(learnt: Learnt) -> None:
    """In both generations; by another limit it is known on."""
    _kept(learnt, "a", "b", now_s=10.0)
    _kept(learnt, "a", now_s=10.6)
    learnt.forget_caller("other", "a")
    assert "ab" == _known(learnt)
    learnt.forget_caller("any", "a")
    assert "b" == _known(learnt)
