"""Events in JSON, by CloudEvents 1.0 (section 3.1 of its JSON format)."""

import re

import orjson

from gateway.core.event import Event, EventType
from gateway.util.rfc3339 import LAST_MS, from_rfc3339, rfc3339

CONTENT_TYPE = "application/cloudevents+json"
_VERSION = "1.0"

_ID = re.compile(r"(?! )[ -~]{1,128}(?<! )", re.ASCII)
"""It is sent in a header field, and written to logs."""


class UnreadableEvent(ValueError):
    """A record that is not an event of this gateway's."""


def encode(event: Event, source: str) -> bytes:
    """
    Return ``event`` as JSON; ``source`` is the origin of the gateway, as people see it.

    The bytes are made once, when the event is recorded, so that each delivery signs the same.
    """
    return orjson.dumps(
        {
            "specversion": _VERSION,
            "id": event.id,
            "source": source,
            "type": event.type.value,
            "subject": event.subject,
            "time": rfc3339(event.time_ms),
            "datacontenttype": "application/json",
            "data": dict(event.data),
        }
    )


def decode(record: bytes) -> Event:
    """Return the event of a record. Raises `UnreadableEvent`."""
    try:
        members = orjson.loads(record)
        return Event(
            _id(members["id"]),
            EventType(members["type"]),
            _text(members["subject"]),
            _time_ms(members["time"]),
            _data(members["data"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise UnreadableEvent("not a CloudEvent of this gateway") from None


def _id(value: object) -> str:
    text = _text(value)
    if not _ID.fullmatch(text):
        raise ValueError
    return text


def _time_ms(value: object) -> int:
    at_ms = from_rfc3339(_text(value))
    if not 0 <= at_ms <= LAST_MS:
        raise ValueError
    return at_ms


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _data(value: object) -> dict[str, str | int | None]:
    if not isinstance(value, dict):
        raise TypeError
    return value
