"""What aiohttp's parsers let pass and the gateway does not."""

from gateway.core.errors import ExpectationFailed, UnsupportedVersion
from gateway.proxy.http1.framing import Framing, connection_options, request_framing
from gateway.proxy.http1.parser import RawRequestMessage, RawResponseMessage

_VERSIONS = ((1, 1), (1, 0))
_LEAST_STATUS = 100  # RFC 9110 section 15
_JUDGED = ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade")


def check_request(message: RawRequestMessage, max_body_bytes: int) -> Framing:
    """
    The framing of a request that can be forwarded.

    Raises `UnsupportedVersion` (HTTP/0.9 comes out of the parser as a request),
    `ExpectationFailed`, and what `request_framing` raises.
    """
    headers, version = message.headers, message.version
    if version not in _VERSIONS:
        raise UnsupportedVersion(str(version))
    if "Expect" in headers and any(
        expected.lower() != "100-continue" for expected in headers.getall("Expect")
    ):
        raise ExpectationFailed("not 100-continue")
    return request_framing(headers, version, max_body_bytes)


def has_strict_line(message: RawRequestMessage, head: bytes) -> bool:
    """
    Whether ``head`` begins with its request line in its one form (RFC 9112 section 3).

    The parser skips spaces, lets control characters precede the line, and hides the protocol's
    name: ``RTSP/1.0`` comes out as HTTP/1.0. One empty line may precede (section 2.2).
    """
    if message.version not in _VERSIONS:
        return True  # refused as that, by `check_request`
    major, minor = message.version
    text = f"{message.method} {message.path} HTTP/{major}.{minor}\r\n"
    line = text.encode("utf-8", "surrogateescape")
    return head.startswith((line, b"\r\n" + line))


def keeps_alive(message: RawRequestMessage) -> bool:
    """
    Whether the client wants the connection kept (RFC 9112 section 9.3).

    In HTTP/1.0 it has to say so, in Connection alone, and ``close`` wins; the parser also looks at
    Proxy-Connection.
    """
    if message.should_close or message.version >= _VERSIONS[0]:
        return not message.should_close
    options = connection_options(message.headers)
    return "keep-alive" in options and "close" not in options


def is_plain(message: RawRequestMessage) -> bool:
    """Whether there is nothing in a request without a body that `check_request` would look at."""
    return (
        message.version == _VERSIONS[0]
        and not message.should_close
        and not message.upgrade
        and not any(name in message.headers for name in _JUDGED)
    )


def response_fault(message: RawResponseMessage) -> str | None:
    """What is wrong with the head of an app's answer, where the parser lets it pass."""
    if message.version not in _VERSIONS:
        return "version"
    if message.code < _LEAST_STATUS:
        return "status"
    if message.chunked and message.version < _VERSIONS[0]:
        return "chunked in HTTP/1.0"  # RFC 9112 section 6.1: its end may be a guess
    return None
