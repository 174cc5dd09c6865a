"""The budget of retries."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.upstream.overload import RetryBudget


def spent(budget: RetryBudget, requests: int, now_s: float, times: int) -> int:
    """Ask for a retry so many ``times``; return how many were allowed."""
    return sum(budget.spend(requests, now_s) for _ in range(times))


def test_a_few_retries_are_always_allowed() -> None:
    """An app that gets one request in an hour may be asked again."""
    budget = RetryBudget(share=0.2, floor=10, window_s=10)
    assert 10 == spent(budget, 1, 0, 50)
    assert 0 == spent(budget, 1, 5, 50)
    assert 10 == spent(budget, 2, 3600, 50)


def test_a_fifth_of_the_requests_may_be_repeated() -> None:
    """A share of the requests of the last window is allowed again."""
    budget = RetryBudget(share=0.2, floor=0, window_s=10)
    assert 0 == spent(budget, 0, 0, 1)
    assert 20 == spent(budget, 100, 5, 50)
    assert 20 == spent(budget, 200, 9, 50)


def test_the_window_slides() -> None:
    """Requests and retries count less the longer they are past."""
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
    """Over any time, there are at most a fifth of all requests and the floor for each window."""
    budget, requests, retries, now_s = RetryBudget(), 0, 0, 0.0
    for more, wanted, later_s in events:
        requests, now_s = requests + more, now_s + later_s
        retries += spent(budget, requests, now_s, wanted)
    assert retries <= 0.2 * 2 * requests + 10 * (2 + now_s / 10)
