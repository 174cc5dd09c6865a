"""Where the messages of a client begin and end."""

import h11
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.http1.chunks import FRAMING_ALLOWANCE_BYTES
from gateway.proxy.http1.splitter import MessageSplitter

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
GET = HEAD + b"\r\n"
WITH_LENGTH = HEAD + b"Content-Length: 5\r\n\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MESSAGES = st.lists(
    st.sampled_from(
        [
            (GET, 0, b""),
            (WITH_LENGTH, 5, b"GET /"),
            (IN_CHUNKS, None, b"3\r\nabc\r\n0\r\n\r\n"),
            (IN_CHUNKS, None, b"0\r\nA: b\r\n\r\n"),
        ]
    ),
    max_size=5,
)


def cut_up(reads: list[bytes], lengths: list[int | None]) -> list[bytes]:
    """The parts that ``reads`` are cut into: heads and bodies."""
    splitter, parts, part, expected = MessageSplitter(), [], b"", iter(lengths)
    for read in reads:
        data = read
        while data:
            if is_head := splitter.is_in_head:
                end = splitter.head_end(data)
                taken, data = data[:end], data[end:] if end is not None else b""
                is_last = end is not None
            else:
                taken, data, is_last = splitter.body_part(data)
            part += taken
            if not is_last:
                continue
            parts.append(part)
            part = b""
            if is_head:
                splitter.begin_body(next(expected))
            else:
                splitter.end_body()
    assert splitter.is_between
    return parts


@given(MESSAGES, st.lists(st.integers(1, 30), max_size=30))
def test_parts_are_heads_and_bodies(
    messages: list[tuple[bytes, int | None, bytes]], cuts: list[int]
) -> None:
    """However the bytes come, each part is one head or one body."""
    data = b"".join(head + body for head, _, body in messages)
    reads = []
    for cut in cuts:
        reads.append(data[:cut])
        data = data[cut:]
    expected = [part for head, _, body in messages for part in (head, body) if part]
    assert expected == cut_up([*reads, data], [length for _, length, _ in messages])


@given(MESSAGES)
def test_another_parser_agrees(messages: list[tuple[bytes, int | None, bytes]]) -> None:
    """h11 ends the messages where the cutter does."""
    parts = cut_up(
        [b"".join(head + body for head, _, body in messages)], [length for _, length, _ in messages]
    )
    for head in (part for part in parts if part.startswith(b"GET / HTTP")):
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(head)
        assert isinstance(parser.next_event(), h11.Request)
        assert parser.trailing_data[0] == b""


def test_overhead_is_that_of_chunks() -> None:
    """A body with a length has none."""
    splitter = MessageSplitter()
    assert not splitter.has_chunks
    splitter.begin_body(5)
    assert splitter.overhead_bytes == 0
    splitter.end_body()
    splitter.begin_body(None)
    assert not splitter.outweighs_data
    splitter.body_part(b"1;" + b"x" * 10)
    assert splitter.has_chunks
    assert splitter.overhead_bytes == 12
    splitter.body_part(b"x" * FRAMING_ALLOWANCE_BYTES + b"\r\nx\r\n")
    assert splitter.outweighs_data


def test_a_read_gives_framing_some_room() -> None:
    """Chunks that come one by one may go on for ever; those of a flood may not."""
    one_by_one, flood = MessageSplitter(), MessageSplitter()
    one_by_one.begin_body(None)
    flood.begin_body(None)
    for _ in range(FRAMING_ALLOWANCE_BYTES):
        one_by_one.begin_body_read()
        one_by_one.body_part(b"1\r\nx\r\n")
        flood.body_part(b"1\r\nx\r\n")
    assert not one_by_one.outweighs_data
    assert flood.outweighs_data


def test_a_body_with_a_length_outweighs_its_framing() -> None:
    """A read of it is a part, up to its end."""
    splitter = MessageSplitter()
    splitter.begin_body(5)
    splitter.begin_body_read()
    assert (b"abc", b"", False) == splitter.body_part(b"abc")
    assert (b"de", b"GET", True) == splitter.body_part(b"deGET")
    assert not splitter.outweighs_data
