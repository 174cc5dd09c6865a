"""What is taken in of a body, and which expectations the gateway answers itself."""

import pytest

from gateway.core.request import Outbound, Target
from gateway.core.route import Route
from gateway.proxy.http1.buffered import BodyBuffer, fits, without_expectation
from gateway.proxy.http1.framing import NO_BODY, BodyKind, Framing
from tests.fakes.heads import request_head

CHUNKED = Framing(BodyKind.CHUNKED, b"Transfer-Encoding: chunked\r\n")
LENGTH = Framing(BodyKind.LENGTH, b"Content-Length: 10\r\n")


@pytest.mark.parametrize(
    ("framing", "data", "is_whole", "expected"),
    [
        pytest.param(LENGTH, b"abc", False, b"abc", id="length"),
        pytest.param(LENGTH, b"abc", True, b"abc", id="whole-length"),
        pytest.param(CHUNKED, b"abc", False, b"3\r\nabc\r\n", id="chunk"),
        pytest.param(CHUNKED, b"abc", True, b"3\r\nabc\r\n", id="all-chunks"),
        pytest.param(CHUNKED, b"", True, b"", id="empty"),
        pytest.param(CHUNKED, b"", False, b"", id="nothing-yet"),
    ],
)
def test_data_is_sent_in_the_framing_of_the_request(
    framing: Framing, data: bytes, is_whole: bool, expected: bytes
) -> None:
    """An empty chunk would be the last one, which is not told here."""
    buffer = BodyBuffer(framing, 100)
    for part in (data[:1], data[1:]):
        if part:
            buffer.add(part)
    if is_whole:
        buffer.add(b"")
    assert (len(data), is_whole, is_whole) == (
        buffer.size_bytes, buffer.is_whole, buffer.is_full()
    )  # fmt: skip
    assert (data, expected) == (buffer.data(), b"".join(buffer.encoded()))


def test_a_buffer_is_full_at_its_bound() -> None:
    """Or beyond it: a part is not divided."""
    buffer = BodyBuffer(LENGTH, 4)
    buffer.add(b"abc")
    assert not buffer.is_full()
    buffer.add(b"def")
    assert (True, False, 6) == (buffer.is_full(), buffer.is_whole, buffer.size_bytes)


def test_the_last_part_is_not_copied() -> None:
    """It may be as large as a read."""
    buffer, last = BodyBuffer(LENGTH, 4), b"def"
    for part in (b"a", b"b", last):
        buffer.add(part)
    first, same = buffer.encoded()
    assert (b"ab", True) == (first, same is last)


@pytest.mark.parametrize(
    ("framing", "max_bytes", "expected"),
    [
        pytest.param(LENGTH, 10, True, id="just-fits"),
        pytest.param(LENGTH, 9, False, id="too-long"),
        pytest.param(CHUNKED, 10, False, id="unknown"),
        pytest.param(NO_BODY, 10, False, id="none"),
    ],
)
def test_only_a_known_length_fits(framing: Framing, max_bytes: int, expected: bool) -> None:
    """Chunks may go on."""
    assert expected is fits(framing, max_bytes)


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        pytest.param(b"Expect: 100-continue\r\nA: b\r\n", b"A: b\r\n", id="first"),
        pytest.param(b"A: b\r\nexpect:100-Continue\r\n", b"A: b\r\n", id="last-and-small"),
        pytest.param(
            b"A: expect: x\r\nX-Expect: b\r\n",
            b"A: expect: x\r\nX-Expect: b\r\n",
            id="another-field",
        ),
        pytest.param(b"", b"", id="none"),
    ],
)
def test_an_expectation_is_taken_out(fields: bytes, left: bytes) -> None:
    """By its name alone; other lines stay as they are."""
    target = Target("/x", "/x", has_encoded_slash=False)
    outbound = Outbound(Route("r", "/*", "app"), "POST", target, fields, None, request_head().peer)
    assert outbound._replace(fields=left) == without_expectation(outbound)
