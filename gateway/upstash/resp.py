"""
RESP2, the protocol of the store: commands to bytes, and bytes to replies.

hiredis reads ``+OK`` and a stored ``OK`` alike. Upstash's REST protocol does not: base64 leaves out
the first and encodes the second. So replies are read here, and each keeps its bytes as received.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

MAX_DEPTH = 64
"""Arrays within arrays. JSON encoders have a limit, too: that of orjson is 254."""

_CRLF = b"\r\n"


class StatusReply(NamedTuple):
    """A simple string, such as ``+OK``."""

    text: bytes


class ErrorReply(NamedTuple):
    """An error with its code, such as ``ERR syntax error``."""

    text: bytes


RespValue: TypeAlias = "StatusReply | ErrorReply | bytes | int | list[RespValue] | None"


class RespReply(NamedTuple):
    """A reply, and its bytes as the store sent them."""

    value: RespValue
    raw: bytes


class RespFault(Exception):
    """The bytes are no RESP2, or a reply is too deep."""


class ReplyTooLong(RespFault):
    """A reply is longer than what is kept of it."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes of a reply")
        self.size_bytes = size_bytes


class _OpenArray(NamedTuple):
    """An array whose elements have not all arrived."""

    elements: list[RespValue]
    length: int


def encode(commands: Iterable[Sequence[bytes]]) -> bytes:
    """Encode ``commands`` as the store reads them."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        parts += map(encode_string, command)
    return b"".join(parts)


def encode_string(text: bytes) -> bytes:
    """Encode a bulk string as a RESP2 reply."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


def encode_error(error: ErrorReply) -> bytes:
    """Encode an error as a RESP2 reply."""
    return b"-%b\r\n" % error.text


class _IncompleteError(Exception):
    """The next element has not arrived as a whole."""


class ReplyReader:
    """Reads replies from bytes as they arrive. In the midst of a reply, it goes on where it was."""

    def __init__(self, max_bytes: int) -> None:
        """Take the limit in bytes of one reply."""
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._at = 0
        self._open: list[_OpenArray] = []

    def feed(self, data: bytes) -> list[RespReply]:
        """Return the replies that ``data`` completes. Raises `RespFault`."""
        self._buffer += data
        replies: list[RespReply] = []
        try:
            while True:
                reply = self._element()
                if reply is not None:
                    replies.append(reply)
        except _IncompleteError:
            if len(self._buffer) > self._max_bytes:
                raise ReplyTooLong(len(self._buffer)) from None
        return replies

    def _element(self) -> RespReply | None:
        """Read one element; return the reply that it completes, if any."""
        end = self._buffer.find(_CRLF, self._at)
        if end < 0:
            raise _IncompleteError
        text = bytes(self._buffer[self._at + 1 : end])
        after = end + len(_CRLF)
        match self._buffer[self._at : self._at + 1]:
            case b"+":
                return self._add(StatusReply(text), after)
            case b"-":
                return self._add(ErrorReply(text), after)
            case b":":
                return self._add(_number(text), after)
            case b"$":
                return self._bulk(_number(text), after)
            case b"*":
                return self._array(_number(text), after)
        raise RespFault("not RESP2")

    def _bulk(self, length: int, after: int) -> RespReply | None:
        if length < 0:
            return self._add(None, after)
        end = after + length
        if len(self._buffer) < end + len(_CRLF):
            raise _IncompleteError
        return self._add(bytes(self._buffer[after:end]), end + len(_CRLF))

    def _array(self, length: int, after: int) -> RespReply | None:
        if length <= 0:
            return self._add(None if length < 0 else [], after)
        if len(self._open) == MAX_DEPTH:
            raise RespFault("a reply is too deep")
        self._open.append(_OpenArray([], length))
        self._at = after
        return None

    def _add(self, value: RespValue, after: int) -> RespReply | None:
        """Add ``value`` to the innermost open array, and close those that it completes."""
        self._at = after
        while self._open:
            elements, length = self._open[-1]
            elements.append(value)
            if len(elements) < length:
                return None
            self._open.pop()
            value = elements
        raw = bytes(self._buffer[:after])
        del self._buffer[:after]
        self._at = 0
        return RespReply(value, raw)


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise RespFault("not RESP2") from None
