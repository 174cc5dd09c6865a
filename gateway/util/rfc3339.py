"""Times in the format of RFC 3339."""

from datetime import UTC, datetime, timedelta

LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that RFC 3339 can write."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at_ms: int) -> str:
    """Format a Unix time in milliseconds, from 0 to `LAST_MS`."""
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
