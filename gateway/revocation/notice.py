"""What is told of sessions that were ended by their person, or by an operator."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from gateway.core.errors import StoreUnavailable
from gateway.core.event import EventType, Notice
from gateway.core.event_ports import Events
from gateway.core.identity import SessionSummary
from gateway.core.ports import Sessions

EndReason = Literal["signed-out", "signed-out-everywhere", "revoked"]


def end_notice(issuer: str, reason: EndReason, public_id: str) -> Notice:
    """Return what is told of the end of one session."""
    data = {"reason": reason, "sessions": 1, "session": public_id}
    return Notice(EventType.SESSION_REVOKED, issuer, data)


def revocation_notice(
    issuer: str, reason: EndReason, listed: Sequence[SessionSummary] | None
) -> Notice:
    """Return what is told of a revocation, which ends the ``listed`` sessions."""
    ended = None if listed is None else len(listed)
    data = {"reason": reason, "sessions": ended, "session": None}
    return Notice(EventType.SESSION_REVOKED, issuer, data)


async def to_be_told(
    sessions: Sessions, events: Events | None, issuer: str
) -> Sequence[SessionSummary] | None:
    """
    List the sessions that a revocation will end, where an endpoint hears how many there are.

    None where none does, and where the store does not tell: a revocation does not fail of that.
    """
    if events is None or not events.wants(EventType.SESSION_REVOKED):
        return None
    with suppress(StoreUnavailable):
        return await sessions.list_for(issuer)
    return None
