"""Events as JSON."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.event import Event, EventType
from gateway.hooks.cloud_event import UnreadableEvent, decode, encode

EVENT = Event(
    "evt_1", EventType.FIRST_LOGIN, "did:ethr:0xAd", 1_700_000_000_123, {"email": "ada@example.com"}
)

events = st.builds(
    Event,
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128),
    st.sampled_from(EventType),
    st.text(min_size=1, max_size=60),
    st.integers(0, 4_000_000_000_000),
    st.dictionaries(st.text(max_size=9), st.none() | st.text(max_size=9) | st.integers(0, 2**53)),
)


def test_an_event_has_the_attributes_of_cloudevents() -> None:
    """Version 1.0, in JSON, with the data inside."""
    assert {
        "specversion": "1.0",
        "id": "evt_1",
        "source": "https://app.example.com",
        "type": "user.first_login",
        "subject": "did:ethr:0xAd",
        "time": "2023-11-14T22:13:20.123Z",
        "datacontenttype": "application/json",
        "data": {"email": "ada@example.com"},
    } == orjson.loads(encode(EVENT, "https://app.example.com"))


@given(events)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    """Whatever stands in it."""
    assert event == decode(encode(event, "https://app.example.com"))


@pytest.mark.parametrize(
    "change",
    [
        {"type": "user.unknown"},
        {"id": ""},
        {"id": 5},
        {"id": "evt_1\r\nX-Other: 1"},
        {"id": "evt\x1b[2J"},
        {"id": "evt_1 "},
        {"id": "é"},
        {"id": "e" * 129},
        {"subject": None},
        {"time": "yesterday"},
        {"time": 5},
        {"time": "0001-01-01T00:00:00+23:59"},
        {"time": "1969-12-31T23:59:59.999Z"},
        {"data": []},
        {"data": None},
    ],
)
def test_what_is_no_event_is_refused(change: dict[str, object]) -> None:
    """Others may write to the stream too."""
    record = orjson.dumps(orjson.loads(encode(EVENT, "x")) | change)
    with pytest.raises(UnreadableEvent):
        decode(record)


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"{}", b"5", b"\xff"])
def test_what_is_no_object_is_refused(record: bytes) -> None:
    """It names no part of the record."""
    with pytest.raises(UnreadableEvent):
        decode(record)
