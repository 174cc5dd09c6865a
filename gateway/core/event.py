"""What other systems hear of: events of people."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class EventType(StrEnum):
    """Kinds of events, by the ``type`` that receivers see."""

    FIRST_LOGIN = "user.first_login"
    LOGIN = "user.login"
    LOGOUT = "user.logout"
    SESSION_REVOKED = "session.revoked"
    DENIED = "user.denied"
    LIMIT_EXCEEDED = "limit.exceeded"

    @property
    def is_sampled(self) -> bool:
        """Whether only some are recorded: those that clients can cause without end."""
        return self in _SAMPLED


_SAMPLED = {EventType.DENIED, EventType.LIMIT_EXCEEDED}


class Event(NamedTuple):
    """One event. Its id is made once, and is the same in each delivery."""

    id: str
    type: EventType
    subject: str
    """The issuer; the caller of a limit where that is none."""
    time_ms: int
    """Unix time in milliseconds."""
    data: Mapping[str, str | int | None]


class Notice(NamedTuple):
    """What an event tells of a change; id and time it gets as it is recorded."""

    kind: EventType
    subject: str
    data: Mapping[str, str | int | None]
