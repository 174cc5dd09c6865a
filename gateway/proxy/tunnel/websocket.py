"""As much of WebSocket (RFC 6455) as a gateway needs that reads no message."""

import struct
from base64 import b64encode
from hashlib import sha1

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_LENGTH = 0x7F
_MASKED = 0x80
_OPCODE = 0x0F
_CLOSE_OPCODE = 0x8
_SHORT_HEAD_BYTES = 2
_LONGEST_HEAD_BYTES = 14
_MASK_BYTES = 4
_FINAL_CLOSE = 0x88


def accept_for(key: str) -> str:
    """What ``Sec-WebSocket-Accept`` must say to this ``Sec-WebSocket-Key`` (section 4.2.2)."""
    digest = sha1(key.encode("ascii") + _GUID).digest()  # noqa: S324 - the standard's, no secret
    return b64encode(digest).decode("ascii")


def close_frame(code: int, reason: str) -> bytes:
    """A Close frame of a server (section 5.5.1); ``reason`` takes at most 123 octets."""
    payload = struct.pack("!H", code) + reason.encode()
    return bytes((_FINAL_CLOSE, len(payload))) + payload


class FrameScanner:
    """
    Knows where the frames of one direction end; looks at their heads alone (section 5.2).

    It judges nothing: what one peer may send is the other peer's business.
    """

    __slots__ = ("_head", "_left_bytes", "has_close")

    def __init__(self) -> None:
        self._head = b""
        """Of the next frame, as far as it has come."""
        self._left_bytes = 0
        """Of the payload of this frame."""
        self.has_close = False
        """Whether a Close frame has begun."""

    @property
    def is_between(self) -> bool:
        """Whether the next octet begins a frame: nothing may be put in anywhere else."""
        return not self._left_bytes and not self._head

    def feed(self, data: bytes) -> None:
        """Note ``data``."""
        at, size = 0, len(data)
        while at < size:
            at = self._step(data, at, size)

    def feed_to_boundary(self, data: bytes) -> int:
        """Note ``data`` as far as the end of the frame that is under way; how far that is."""
        at, size = 0, len(data)
        while at < size and not self.is_between:
            at = self._step(data, at, size)
        return at

    def _step(self, data: bytes, at: int, size: int) -> int:
        """Note the rest of a payload, or a head; where that ends."""
        if self._left_bytes:
            step = min(self._left_bytes, size - at)
            self._left_bytes -= step
            return at + step
        known = len(self._head)
        head = self._head + data[at : at + _LONGEST_HEAD_BYTES - known]
        needed = _head_bytes(head)
        if len(head) < needed:
            self._head = head
            return size
        self._head = b""
        self._left_bytes = _payload_bytes(head)
        if head[0] & _OPCODE == _CLOSE_OPCODE:
            self.has_close = True
        return at + needed - known


def _head_bytes(head: bytes) -> int:
    """How long a head that begins so is."""
    if len(head) < _SHORT_HEAD_BYTES:
        return _SHORT_HEAD_BYTES
    second = head[1]
    size = _SHORT_HEAD_BYTES + _EXTENSION_BYTES.get(second & _LENGTH, 0)
    return size + _MASK_BYTES if second & _MASKED else size


def _payload_bytes(head: bytes) -> int:
    length = head[1] & _LENGTH
    extension = _EXTENSION_BYTES.get(length)
    if extension is None:
        return length
    return int.from_bytes(head[_SHORT_HEAD_BYTES : _SHORT_HEAD_BYTES + extension])


_EXTENSION_BYTES = {126: 2, 127: 8}
"""How many octets hold the length where it does not fit into seven bits."""
