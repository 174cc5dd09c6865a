"""What an app's answer says of limits."""

import pytest

from gateway.headers.answer_limits import MAX_COST, answer_cost, replaced_limits, told_cost
from tests.fakes.heads import multidict

OURS = b'RateLimit: "a";r=1;t=2\r\n'


def test_the_gateway_replaces_what_the_app_told_of_limits() -> None:
    """In any spelling of the names; other fields stay, ``Retry-After`` among them."""
    block = (
        b"HTTP/1.1 200 OK\r\nX-A: ratelimit\r\nRATELIMIT: app\r\nRateLimit-Policy: app\r\n"
        b"x-ratelimit-limit: 1\r\nX-RateLimit-Remaining: 1\r\nX-RateLimit-Reset: 1\r\n"
        b"X-RateLimit-Used: 1\r\nRetry-After: 5\r\n"
    )
    assert (
        b"HTTP/1.1 200 OK\r\nX-A: ratelimit\r\nX-RateLimit-Used: 1\r\nRetry-After: 5\r\n" + OURS
        == replaced_limits(block, OURS)
    )


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ("0", 0),
        ("1", 1),
        ("007", 7),
        (str(MAX_COST), MAX_COST),
        (str(MAX_COST + 1), None),
        ("9" * 5000, None),
        ("0" * 5000, 0),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("1, 2", None),
        ("1_0", None),
        (" 1", None),
        ("٣", None),
        ("", None),
    ],
)
def test_a_cost_is_a_plain_number_up_to_a_million(told: str, cost: int | None) -> None:
    """Nothing else is guessed at."""
    assert cost == answer_cost(told)


def test_a_cost_that_is_told_twice_is_none() -> None:
    """Which of them counts would be a guess; no field is no text."""
    assert "3" == told_cost(multidict(("x-gateway-cost", "3")))
    assert "" == told_cost(multidict(("X-Other", "3")))
    twice = told_cost(multidict(("X-Gateway-Cost", "3"), ("X-Gateway-Cost", "3")))
    assert answer_cost(twice) is None
