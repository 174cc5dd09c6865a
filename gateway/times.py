"""Times as answers write them."""

from datetime import UTC, datetime


def rfc3339(at_ms: int) -> str:
    """A Unix time in milliseconds, as RFC 3339 has it."""
    at = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
