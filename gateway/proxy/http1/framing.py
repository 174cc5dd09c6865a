"""Message body framing (RFC 9112 section 6), decided anew for each side of the gateway."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from multidict import CIMultiDictProxy

from gateway.core.errors import (
    BadRequest,
    BadUpstreamAnswer,
    BodyTooLarge,
    UnsupportedCoding,
)

_NO_CONTENT, _NOT_MODIFIED = 204, 304
_MAX_LENGTH_DIGITS = 18
"""Fewer than 2**63 octets. Python refuses to read numbers of more than 4300 digits."""


class BodyKind(Enum):
    """How a body is delimited."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()
    """By the end of the connection; only in answers to HTTP/1.0 clients."""


class Framing(NamedTuple):
    """The kind of delimiter, and its field line."""

    kind: BodyKind
    field: bytes = b""
    expects_continue: bool = False
    """Whether the client waits for a 100 before it sends the body (RFC 9110 section 10.1.1)."""


_CHUNKED = Framing(BodyKind.CHUNKED, b"Transfer-Encoding: chunked\r\n")
_CLOSE = Framing(BodyKind.CLOSE)
NO_BODY = Framing(BodyKind.NONE)


def request_framing(
    headers: Mapping[str, str], version: tuple[int, int], max_body_bytes: int
) -> Framing:
    """
    Return the framing of a request, which is the same on both sides.

    Raises `BadRequest` for chunked in HTTP/1.0 (RFC 9112 section 6.1), `UnsupportedCoding`, and
    `BodyTooLarge` if Content-Length is over ``max_body_bytes``. The parser has refused requests
    with both fields, or with one of them twice.
    """
    coding = headers.get("Transfer-Encoding")
    if coding is not None:
        if version < (1, 1):
            raise BadRequest("Transfer-Encoding in HTTP/1.0")
        if coding.lower() != "chunked":
            raise UnsupportedCoding("transfer coding other than chunked")
        return _CHUNKED
    length = headers.get("Content-Length")
    if length is None:
        return NO_BODY
    if not (length.isascii() and length.isdecimal()):
        raise BadRequest("Content-Length is no number")
    digits = length.lstrip("0") or "0"
    if len(digits) > _MAX_LENGTH_DIGITS:
        raise BodyTooLarge("announced length")
    return length_framing(int(digits), max_body_bytes)


def length_framing(body_bytes: int, max_body_bytes: int) -> Framing:
    """Return the framing of a request's body of this size. Raises `BodyTooLarge`."""
    if body_bytes > max_body_bytes:
        raise BodyTooLarge("announced length")
    line = b"Content-Length: %d\r\n" % body_bytes
    # Half the time of a call of the class.
    return tuple.__new__(Framing, (BodyKind.LENGTH, line, False))


def response_framing(
    headers: Mapping[str, str],
    status: int,
    method: str,
    client_version: tuple[int, int],
    *,
    is_chunked: bool,
) -> Framing:
    """
    Return the framing of an answer with ``status`` to ``method`` for a client.

    HEAD and 304 keep the length that a GET would have had and send no body; 204 has neither (RFC
    9110 section 8.6). A body that the app ends by closing is sent in chunks to HTTP/1.1 clients, so
    that they can tell an end from a broken connection; HTTP/1.0 knows only closing.

    Raises `BadUpstreamAnswer` if the body has a transfer coding other than chunked: the field that
    declares it is not forwarded.
    """
    length = headers.get("Content-Length")
    if status == _NO_CONTENT:
        return NO_BODY
    if method == "HEAD" or status == _NOT_MODIFIED:
        return Framing(BodyKind.NONE, _length_field(length))
    coding = headers.get("Transfer-Encoding")
    if coding is not None and not (is_chunked and coding.lower() == "chunked"):
        raise BadUpstreamAnswer("transfer coding other than chunked")
    if length is not None and not is_chunked:
        return Framing(BodyKind.LENGTH, _length_field(length))
    return framing_without_length(client_version)


def framing_without_length(client_version: tuple[int, int]) -> Framing:
    """Return the framing of an answer whose length is not told."""
    return _CHUNKED if client_version >= (1, 1) else _CLOSE


def _length_field(length: str | None) -> bytes:
    return f"Content-Length: {length}\r\n".encode("latin-1") if length is not None else b""


def encode_chunk(data: bytes) -> bytes:
    """Encode a chunk (RFC 9112 section 7.1); ``data`` is not empty, as in the last chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def encode_whole(framing: Framing, data: bytes) -> bytes:
    """Encode ``data``, which is all of a body."""
    if framing.kind is BodyKind.CHUNKED:
        return encode_chunk(data) + LAST_CHUNK if data else LAST_CHUNK
    return data


def connection_options(headers: CIMultiDictProxy[str]) -> set[str]:
    """Return the options in ``Connection``, in lower case (RFC 9110 section 7.6.1)."""
    return {
        option.strip().lower()
        for line in headers.getall("Connection", ())
        for option in line.split(",")
    }
