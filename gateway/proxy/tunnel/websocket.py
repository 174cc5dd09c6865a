"""The parts of WebSocket (RFC 6455) that the gateway needs: handshake, Close, frame borders."""

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
    """Return the ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (section 4.2.2)."""
    digest = sha1(key.encode("ascii") + _GUID).digest()  # noqa: S324 - required by the RFC; protects no secret
    return b64encode(digest).decode("ascii")


def close_frame(code: int, reason: str) -> bytes:
    """Return a Close frame of a server (section 5.5.1); ``reason`` has at most 123 octets."""
    payload = struct.pack("!H", code) + reason.encode()
    return bytes((_FINAL_CLOSE, len(payload))) + payload


class FrameScanner:
    """
    Finds where the frames of one direction end, from their headers (section 5.2).

    It validates nothing: the peers do.
    """

    __slots__ = ("_head", "_left_bytes", "has_close")

    def __init__(self) -> None:
        self._head = b""
        """The bytes of an incomplete frame header."""
        self._left_bytes = 0
        """What is left of the payload of the current frame."""
        self.has_close = False
        """Whether a Close frame has begun."""

    @property
    def is_between(self) -> bool:
        """Whether the next octet begins a frame: only there another frame may be inserted."""
        return not self._left_bytes and not self._head

    def feed(self, data: bytes) -> None:
        """Scan ``data``."""
        at, size = 0, len(data)
        while at < size:
            at = self._step(data, at, size)

    def feed_to_boundary(self, data: bytes) -> int:
        """Scan ``data`` up to the end of the current frame; return where that is."""
        at, size = 0, len(data)
        while at < size and not self.is_between:
            at = self._step(data, at, size)
        return at

    def _step(self, data: bytes, at: int, size: int) -> int:
        """Scan the rest of a payload, or a frame header; return where that ends."""
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
    """Return the length of a frame header from its first octets."""
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
"""Octets of an extended payload length, by the value of the seven-bit length."""
