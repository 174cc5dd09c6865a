"""Rates of single callers, as they are written."""

import pytest

from gateway.core.limit import Limit
from gateway.core.rate import Rate
from gateway.ratelimit.override import Override, key, read_override, with_override

WINDOW = Limit("api", 300, 60, on_store_failure="closed", is_shadow=True, has_overrides=True)
BUCKET = Limit("api", 300, 60, algorithm="token-bucket", burst=50)


@pytest.mark.parametrize(
    ("record", "expected", "written"),
    [
        (b"500/minute", Override(Rate(500, 60)), "500/minute"),
        (b" 500/60seconds\n", Override(Rate(500, 60)), "500/minute"),
        (b"50/second burst=200", Override(Rate(50, 1), 200), "50/second burst=200"),
    ],
)
def test_what_is_read_is_written_again(record: bytes, expected: Override, written: str) -> None:
    """Apps may write it with spaces around, and in any units."""
    assert expected == read_override(record)
    assert written == str(expected)
    assert expected == read_override(written.encode())


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"500",
        b"0/minute",
        b"500/minute 200",
        b"500/minute burst=0",
        b"500/minute burst=1 burst=2",
        b"500/minute burst=1 x y z",
        b"\xff/minute",
        b"500/minute" + b" " * 64,
    ],
)
def test_what_is_no_override(record: bytes) -> None:
    """It is refused, whatever an app has written."""
    with pytest.raises(ValueError, match=r"."):
        read_override(record)


def test_a_limit_keeps_all_but_its_rate() -> None:
    """The burst of a bucket is as large as the rate where none is written."""
    own = with_override(WINDOW, Override(Rate(500, 60)))
    assert (500, 60, "closed", True, True) == (
        own.rate, own.window_s, own.on_store_failure, own.is_shadow, own.has_overrides
    )  # fmt: skip
    assert 500 == with_override(BUCKET, Override(Rate(500, 60))).capacity
    assert 700 == with_override(BUCKET, Override(Rate(500, 60), 700)).capacity


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (Override(Rate(500, 3600)), "write NUMBER/minute$"),
        (Override(Rate(500, 60), 5), "needs algorithm: token-bucket"),
    ],
)
def test_what_does_not_fit_a_limit(override: Override, expected: str) -> None:
    """Counts of another window could not be compared; windows know no burst."""
    with pytest.raises(ValueError, match=expected):
        with_override(WINDOW, override)


def test_a_limit_without_a_rate_takes_none() -> None:
    """It counts requests that are under way; none of a caller's requests is charged to it."""
    uploads = Limit("uploads", 3, 60, algorithm="concurrency")
    with pytest.raises(ValueError, match="has no rate"):
        with_override(uploads, Override(Rate(5, 60)))


def test_the_key_names_limit_and_caller() -> None:
    """Characters that cannot be encoded are escaped, as in the keys of counters."""
    assert "limit-override:api:203.0.113.9" == key("api", "203.0.113.9")
    assert r"limit-override:api:\udc80" == key("api", "\udc80")
