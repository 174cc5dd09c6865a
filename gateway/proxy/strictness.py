"""What aiohttp's parser lets pass and the gateway does not."""

from gateway.errors import (
    ExpectationFailed,
    HeadTooLarge,
    Refusal,
    UnsupportedVersion,
)
from gateway.proxy.framing import Framing, request_framing
from gateway.proxy.http1 import RawRequestMessage
from gateway.proxy.plane import Bounds

_VERSIONS = ((1, 1), (1, 0))
_JUDGED = ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade")
_FIELD_OVERHEAD = 4  # ": " and CRLF


def judge(message: RawRequestMessage, max_body_bytes: int) -> Framing:
    """
    The framing of a request that can be forwarded.

    Raises `UnsupportedVersion` (HTTP/0.9 comes out of the parser as a request),
    `ExpectationFailed`, and what `request_framing` raises.
    """
    headers, version = message.headers, message.version
    if version not in _VERSIONS:
        raise UnsupportedVersion(str(version))
    if headers.get("Expect", "100-continue").lower() != "100-continue":
        raise ExpectationFailed("not 100-continue")
    return request_framing(headers, version, max_body_bytes)


def is_plain(message: RawRequestMessage) -> bool:
    """Whether there is nothing in a request without a body that `judge` would look at."""
    return (
        message.version == _VERSIONS[0]
        and not message.should_close
        and not message.upgrade
        and not any(name in message.headers for name in _JUDGED)
    )


def oversize(message: RawRequestMessage, bounds: Bounds, *, may_be_long: bool) -> Refusal | None:
    """Why a head is too much, if it is; it is only measured where it ``may_be_long``."""
    if len(message.raw_headers) > bounds.fields:
        return HeadTooLarge("too many fields")
    if may_be_long:
        fields = sum(len(n) + len(v) + _FIELD_OVERHEAD for n, v in message.raw_headers)
        if fields + len(message.path) > bounds.head_bytes:
            return HeadTooLarge("head is too long")
    return None
