"""RESP2 as the store speaks it."""

import pytest

from gateway.upstash.resp import (
    MAX_DEPTH,
    ErrorReply,
    ReplyReader,
    ReplyTooLong,
    RespFault,
    RespReply,
    RespValue,
    StatusReply,
    encode,
    encode_error,
)

REPLIES: list[tuple[bytes, RespValue]] = [
    (b"+OK\r\n", StatusReply(b"OK")),
    (b"-ERR no\r\n", ErrorReply(b"ERR no")),
    (b":-9223372036854775808\r\n", -(2**63)),
    (b"$2\r\nOK\r\n", b"OK"),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n\x00\xff\r\n", b"\r\n\x00\xff"),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n*2\r\n$-1\r\n*0\r\n+PONG\r\n", [1, [None, []], StatusReply(b"PONG")]),
]


def test_commands_are_arrays_of_strings() -> None:
    """Whatever bytes an argument holds."""
    sent = encode([(b"SET", b"k", b"\r\n\xff"), (b"PING",)])
    assert b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n\r\n\xff\r\n*1\r\n$4\r\nPING\r\n" == sent


def test_errors_are_encoded() -> None:
    """As the store would send them."""
    assert b"-ERR no\r\n" == encode_error(ErrorReply(b"ERR no"))


@pytest.mark.parametrize(("raw", "value"), REPLIES)
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_replies_are_read_however_they_are_cut(raw: bytes, value: RespValue, size: int) -> None:
    """Byte by byte or at once, with their bytes; a second one follows."""
    reader, twice = ReplyReader(1000), raw + raw
    read = [
        reply for at in range(0, len(twice), size) for reply in reader.feed(twice[at : at + size])
    ]
    assert [RespReply(value, raw)] * 2 == read


@pytest.mark.parametrize("raw", [b"?\r\n", b":x\r\n", b"$1x\r\n", b"*\r\n"])
def test_other_bytes_are_a_fault(raw: bytes) -> None:
    """The connection cannot be used any further."""
    with pytest.raises(RespFault, match="not RESP2"):
        ReplyReader(1000).feed(raw)


def test_a_reply_is_bounded_in_length_and_depth() -> None:
    """A long one is refused before it is complete; many short ones are not one long one."""
    reader = ReplyReader(100)
    assert 50 == len(reader.feed(b"+PONG\r\n" * 50))
    with pytest.raises(ReplyTooLong) as caught:
        reader.feed(b"$1000\r\n" + b"x" * 94)
    assert 101 == caught.value.size_bytes

    deep = b"*1\r\n" * MAX_DEPTH + b":1\r\n"
    assert 1 == len(ReplyReader(1000).feed(deep))
    with pytest.raises(RespFault, match="too deep"):
        ReplyReader(1000).feed(b"*1\r\n" + deep)
