"""Kinds of events."""

from gateway.core.event import EventType


def test_what_clients_can_cause_without_end_is_sampled() -> None:
    """Logins are all told."""
    assert {EventType.DENIED, EventType.LIMIT_EXCEEDED} == {t for t in EventType if t.is_sampled}
