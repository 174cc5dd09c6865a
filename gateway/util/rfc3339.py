"""Times in the format of RFC 3339."""

from datetime import UTC, datetime, timedelta

LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that RFC 3339 can write."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at_ms: int) -> str:
    """Format a Unix time in milliseconds, from 0 to `LAST_MS`."""
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_if_known(at_ms: int | None) -> str | None:
    """Format a time as `rfc3339` does; None where it is not known."""
    return None if at_ms is None else rfc3339(at_ms)


def from_rfc3339(text: str) -> int:
    """Return the Unix time in milliseconds of what `rfc3339` wrote. Raises `ValueError`."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
