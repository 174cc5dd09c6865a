"""Clock skew between Magic and us."""

import logging

import pytest

from gateway.users.clock_skew import ClockSkew, measured_s

DATE, DATE_S = "Fri, 15 Jan 2027 08:00:00 GMT", 1_800_000_000.0


@pytest.mark.parametrize(
    ("asked_s", "answered_s", "ahead_s"),
    [
        pytest.param(DATE_S, DATE_S + 0.1, 0, id="together"),
        pytest.param(DATE_S + 0.9, DATE_S + 1.2, 0, id="cut-off-to-the-second"),
        pytest.param(DATE_S - 3, DATE_S + 3, 0, id="slow-answer"),
        pytest.param(DATE_S - 100.2, DATE_S - 100, 100, id="ahead"),
        pytest.param(DATE_S - 2, DATE_S - 1.5, 1, id="ahead-by-one-at-least"),
        pytest.param(DATE_S - 2, DATE_S - 0.5, 0, id="ahead-by-less"),
        pytest.param(DATE_S + 101, DATE_S + 102, -100, id="behind"),
        pytest.param(DATE_S + 1.5, DATE_S + 1.6, 0, id="behind-by-less"),
    ],
)
def test_the_skew_is_the_least_that_explains_a_date(
    asked_s: float, answered_s: float, ahead_s: int
) -> None:
    """Neither latency nor rounding to seconds counts as skew."""
    assert ahead_s == measured_s(DATE, asked_s, answered_s)


@pytest.mark.parametrize(
    "date", [None, "", "now", "0", DATE[:-4], DATE.replace("GMT", "+0000"), DATE + " "]
)
def test_a_malformed_date_is_no_measurement(date: str | None) -> None:
    """The last one stays."""
    assert measured_s(date, 0.0, 0.0) is None
    skew = ClockSkew()
    skew.ahead_s = 7
    skew.answered(date, 0.0, 0.0)
    assert 7 == skew.ahead_s


def test_a_large_skew_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """At more than half of the tolerance, and again after it was less."""
    skew, told = ClockSkew(), []

    def answered(ahead_s: int) -> None:
        ours_s = DATE_S - ahead_s + (1 if ahead_s < 0 else 0)
        skew.answered(DATE, ours_s, ours_s)
        assert ahead_s == skew.ahead_s
        told.append(len(caplog.records))

    with caplog.at_level(logging.WARNING):
        answered(1000)
        skew.tolerated_s = 300.0
        for ahead_s in (150, 151, 200, 10, -152, -400, 0):
            answered(ahead_s)
    assert [0, 0, 1, 1, 1, 2, 2, 2] == told
    assert "151 s ahead of ours" in caplog.messages[0]
    assert "152 s behind ours" in caplog.messages[1]
