"""Rates as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate import Rate, rate_text, read_rate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("50/second", Rate(50, 1), id="each-second"),
        pytest.param("300/minute", Rate(300, 60), id="each-minute"),
        pytest.param("5/15minutes", Rate(5, 900), id="each-quarter-of-an-hour"),
        pytest.param("1000/hour", Rate(1000, 3600), id="each-hour"),
        pytest.param("10/2days", Rate(10, 172_800), id="every-other-day"),
    ],
)
def test_rate(text: str, expected: Rate) -> None:
    """A rate is a number of requests in a window."""
    assert expected == read_rate(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("300", id="no-window"),
        pytest.param("0/minute", id="no-request-at-all"),
        pytest.param("5/0minutes", id="a-window-without-length"),
        pytest.param("5/fortnight", id="an-unknown-unit"),
        pytest.param("5/15 minutes", id="a-space"),
    ],
)
def test_no_rate(text: str) -> None:
    """A rate that could be misread is refused."""
    with pytest.raises(ValueError, match="expected a rate"):
        read_rate(text)


@given(st.integers(1, 10**9 - 1), st.integers(1, 9999), st.sampled_from([1, 60, 3600, 86_400]))
def test_rates_are_read_as_they_are_written(requests: int, times: int, unit_s: int) -> None:
    """Writing and reading gives the same rate."""
    rate = Rate(requests, times * unit_s)
    assert rate == read_rate(rate_text(rate))
