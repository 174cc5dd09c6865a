"""When the store is asked again after it failed."""

import pytest

from gateway.store.breaker import Breaker


@pytest.mark.parametrize("now_s", [0.0, 1_000.0, -5.0])
def test_a_store_that_never_failed_is_asked(now_s: float) -> None:
    """Whatever the time."""
    assert Breaker().admits(now_s)


def test_after_a_failure_one_asks_for_each_pause() -> None:
    """The others hear no, until one that asked has succeeded."""
    breaker = Breaker(pause_s=0.5)
    breaker.failed(10.0)

    heard = [breaker.admits(now_s) for now_s in (10.0, 10.4, 10.5, 10.5, 10.9, 11.0)]
    assert [False, False, True, False, False, True] == heard

    breaker.succeeded()
    assert breaker.admits(11.0)
    assert not breaker.is_open


def test_a_clock_that_was_set_back_holds_nobody_up() -> None:
    """The pause is a span, not an hour of the day."""
    breaker = Breaker(pause_s=0.5)
    breaker.failed(1_000.0)

    assert [True, False] == [breaker.admits(10.0), breaker.admits(10.1)]
