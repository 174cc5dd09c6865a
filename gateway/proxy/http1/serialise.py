"""Serialisation of the gateway's own answers."""

from http import HTTPStatus

from gateway.core.request import Reply
from gateway.headers.fields import serialise

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_NO_CONTENT = HTTPStatus.NO_CONTENT.value


def serialise_reply(reply: Reply, http_date: bytes) -> tuple[bytes, bytes]:
    """Return the head (without the empty line) and the body of ``reply``."""
    fields = serialise(reply.fields)
    length = b"Content-Length: %d\r\n" % len(reply.body)
    if reply.status == _NO_CONTENT:
        length = b""  # RFC 9110 section 8.6
    return b"".join((_STATUS_LINES[reply.status], http_date, length, fields)), reply.body
