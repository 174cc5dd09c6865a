"""How slow a peer may be."""

from gateway.proxy.http1.min_rate import MinimumRate


def test_a_peer_that_says_nothing() -> None:
    """It is waited for as long as a body may be idle."""
    assert MinimumRate(30, 100).timeout_s() == 30


def test_a_peer_that_trickles() -> None:
    """A byte every ten seconds buys next to nothing: its patience runs out."""
    pace = MinimumRate(30, 100)
    waits = 0
    while pace.timeout_s() >= 10:
        pace.record(1, waited_s=10)
        waits += 1
    assert waits == 3


def test_a_peer_that_is_slow_but_steady() -> None:
    """A peer that keeps the rate has no time-out."""
    pace = MinimumRate(30, 100)
    for _ in range(1000):
        pace.record(1000, waited_s=10)
    assert pace.timeout_s() == 30


def test_what_was_fast_may_be_slow_later() -> None:
    """The rate is that of the whole body, not of each moment."""
    pace = MinimumRate(30, 100)
    pace.record(100_000, waited_s=0)
    pace.record(1, waited_s=29)
    assert pace.timeout_s() == 30
