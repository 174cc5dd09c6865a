"""Server-sent events."""

import pytest

from gateway.upstash.events import event_of
from gateway.upstash.resp import RespValue, StatusReply


@pytest.mark.parametrize(
    ("value", "event"),
    [
        ([b"subscribe", b"chat", 1], b"data: subscribe,chat,1\n\n"),
        ([b"message", b"chat", b"how are you?"], b"data: message,chat,how are you?\n\n"),
        ([b"pmessage", b"c*", b"chat", b"a,b"], b"data: pmessage,c*,chat,a,b\n\n"),
        ([b"message", b"c", b"a\r\nb\rc\nd"], b"data: message,c,a\ndata: b\ndata: c\ndata: d\n\n"),
        ([b"unsubscribe", None, 0], b"data: unsubscribe,,0\n\n"),
        (StatusReply(b"OK"), b'data: "OK"\n\n'),
        (
            StatusReply(b'1721284005.242090 [0 unix:/run/valkey.sock] "GET" "k"'),
            b'data: 1721284005.242090 [0 0.0.0.0:0] "GET" "k"\n\n',
        ),
        (StatusReply(b'17.24 [0 unix:/run/s] "AUTH" "(redacted)" "(redacted)"'), b""),
        (b"text", b"data: text\n\n"),
    ],
)  # fmt: skip
def test_messages_are_events(value: RespValue, event: bytes) -> None:
    """Fields between commas; the lines of MONITOR without the path of the store's socket."""
    assert event == event_of(value)
