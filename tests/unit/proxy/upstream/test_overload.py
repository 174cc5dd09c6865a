"""When an upstream is not asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.upstream.overload import CircuitBreaker, RetryBudget


def spent(budget: RetryBudget, requests: int, now_s: float, times: int) -> int:
    """How many of so many retries are allowed."""
    return sum(budget.spend(requests, now_s) for _ in range(times))


def test_a_few_retries_are_always_allowed() -> None:
    """An app that gets one request in an hour may be asked again."""
    budget = RetryBudget(share=0.2, floor=10, window_s=10)
    assert 10 == spent(budget, 1, 0, 50)
    assert 0 == spent(budget, 1, 5, 50)
    assert 10 == spent(budget, 2, 3600, 50)


def test_a_fifth_of_the_requests_may_be_repeated() -> None:
    """Of those of the last seconds."""
    budget = RetryBudget(share=0.2, floor=0, window_s=10)
    assert 0 == spent(budget, 0, 0, 1)
    assert 20 == spent(budget, 100, 5, 50)
    assert 20 == spent(budget, 200, 9, 50)


def test_the_window_slides() -> None:
    """What was long ago counts ever less, on both sides."""
    budget = RetryBudget(share=0.2, floor=0, window_s=10)
    spent(budget, 0, 0, 1)
    assert 200 == spent(budget, 1000, 5, 500)
    assert 0 == spent(budget, 1000, 10, 10)
    assert 0 == spent(budget, 1000, 15, 10)
    assert 20 == spent(budget, 1100, 15, 100)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20), st.floats(0, 15)), max_size=50),
)
def test_retries_stay_within_the_budget(events: list[tuple[int, int, float]]) -> None:
    """Over any time: a fifth of all requests, and the floor for each window."""
    budget, requests, retries, now_s = RetryBudget(), 0, 0, 0.0
    for more, wanted, later_s in events:
        requests, now_s = requests + more, now_s + later_s
        retries += spent(budget, requests, now_s, wanted)
    assert retries <= 0.2 * 2 * requests + 10 * (2 + now_s / 10)


def test_a_circuit_opens_and_closes() -> None:
    """After so many failures in a row nobody passes; then one per pause, until one is answered."""
    circuit = CircuitBreaker(failures=3, pause_s=2)
    for _ in range(2):
        circuit.failed(0)
    assert 0 == circuit.closed_for_s(0)
    circuit.answered()
    for _ in range(3):
        circuit.failed(0)
    assert [2, 0.5] == [circuit.closed_for_s(now_s) for now_s in (0, 1.5)]
    assert [0, 2, 1] == [circuit.closed_for_s(now_s) for now_s in (2, 2, 3)]
    circuit.failed(3)
    assert [1, 0, 2] == [circuit.closed_for_s(now_s) for now_s in (3, 4, 4)]
    circuit.answered()
    assert [0, 0] == [circuit.closed_for_s(4) for _ in range(2)]


@pytest.mark.parametrize("failures", [1, 2, 50])
def test_requests_that_were_under_way_do_not_keep_it_open(failures: int) -> None:
    """Failures that come in late say nothing new."""
    circuit = CircuitBreaker(failures=failures, pause_s=1)
    for _ in range(failures):
        circuit.failed(0)
    circuit.failed(0.9)
    assert 0 == circuit.closed_for_s(1)
