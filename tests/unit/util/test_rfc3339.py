"""Times as people and programs read them."""

import pytest

from gateway.util.rfc3339 import rfc3339, rfc3339_if_known


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000_007, "2027-01-15T08:00:00.007Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_utc_to_the_millisecond(at_ms: int, text: str) -> None:
    """One spelling, which sorts by time."""
    assert text == rfc3339(at_ms)


def test_a_time_that_is_not_known_is_not_written() -> None:
    """The first millisecond is a time like others."""
    assert None is rfc3339_if_known(None)
    assert rfc3339(0) == rfc3339_if_known(0)
