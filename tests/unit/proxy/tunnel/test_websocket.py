"""Where the frames of a WebSocket end, and the few that the gateway makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.proxy.tunnel.websocket import FrameScanner, accept_for, close_frame

PAYLOADS = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([125, 126, 127, 65535, 65536]).map(bytes),
)
FRAMES = st.lists(
    st.builds(
        lambda opcode, payload, is_last, is_masked: Frame(opcode, payload, is_last).serialize(
            mask=is_masked
        ),
        st.sampled_from([Opcode.CONT, Opcode.TEXT, Opcode.BINARY]),
        PAYLOADS,
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
)
CUTS = st.lists(st.integers(1, 9), min_size=1, max_size=40)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """``data`` as reads of these sizes; the last takes the rest."""
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]


def test_the_answer_to_a_key() -> None:
    """The example of RFC 6455 section 1.3."""
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" == accept_for("dGhlIHNhbXBsZSBub25jZQ==")


@pytest.mark.parametrize(("code", "reason"), [(1008, "session ended"), (1001, "")])
def test_a_close_frame_is_what_a_server_would_send(code: int, reason: str) -> None:
    """Final, not masked, with code and reason."""
    expected = Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)
    assert expected == close_frame(code, reason)


@given(frames=FRAMES, sizes=CUTS)
def test_a_frame_ends_where_it_ends(frames: list[bytes], sizes: list[int]) -> None:
    """However the frames are cut into reads, it is between two exactly where one has ended."""
    ends, at = {0}, 0
    for frame in frames:
        at += len(frame)
        ends.add(at)

    tracker, at = FrameScanner(), 0
    for piece in pieces(b"".join(frames), sizes):
        tracker.feed(piece)
        at += len(piece)
        assert (at in ends) == tracker.is_between
    assert tracker.is_between
    assert not tracker.has_close


@given(frames=FRAMES.filter(bool), cut=st.integers(1, 200_000))
def test_the_rest_of_a_frame_goes_as_far_as_its_end(frames: list[bytes], cut: int) -> None:
    """After part of a frame: to its end and no further; where none is under way: nothing."""
    stream = b"".join(frames)
    cut = min(cut, len(stream))
    tracker = FrameScanner()
    tracker.feed(stream[:cut])
    end, at = 0, 0
    for frame in frames:
        at += len(frame)
        if at >= cut:
            end = at
            break

    assert end - cut == tracker.feed_to_boundary(stream[cut:])
    assert tracker.is_between


@pytest.mark.parametrize(
    ("data", "is_between", "has_close"),
    [
        pytest.param(b"", True, False, id="nothing"),
        pytest.param(b"\x88", False, False, id="half-a-head"),
        pytest.param(b"\x88\x00", True, True, id="close"),
        pytest.param(b"\x88\x02\x03", False, True, id="half-a-close"),
        pytest.param(b"\x89\x00", True, False, id="ping"),
        pytest.param(b"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x00", True, False, id="long-and-empty"),
        pytest.param(b"\x82\x7f" + b"\xff" * 8 + b"x", False, False, id="longer-than-can-be"),
        pytest.param(b"\xf8\x80\x01\x02\x03\x04", True, True, id="reserved-bits-and-masked"),
    ],
)
def test_heads(data: bytes, is_between: bool, has_close: bool) -> None:
    """Nothing is validated."""
    tracker = FrameScanner()
    tracker.feed(data)
    assert (is_between, has_close) == (tracker.is_between, tracker.has_close)


def test_the_end_of_a_frame_may_not_have_come() -> None:
    """Then all of it is passed on, and the boundary is still to come."""
    tracker = FrameScanner()
    tracker.feed(b"\x82\x05ab")
    assert 2 == tracker.feed_to_boundary(b"cd")
    assert not tracker.is_between
    assert 1 == tracker.feed_to_boundary(b"e\x82\x01x")
    assert 0 == tracker.feed_to_boundary(b"\x82\x01x")
