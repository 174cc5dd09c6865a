"""Checks of messages that aiohttp's parsers accept and the gateway does not."""

from gateway.core.errors import ExpectationFailed, UnsupportedVersion
from gateway.proxy.http1.framing import (
    NO_BODY,
    Framing,
    connection_options,
    length_framing,
    request_framing,
)
from gateway.proxy.http1.parser import (
    RawRequestMessage,
    RawResponseMessage,
    StreamReader,
    WholeBody,
)

_VERSIONS = ((1, 1), (1, 0))
_LEAST_STATUS = 100  # RFC 9110 section 15


def framing_of(
    message: RawRequestMessage | None, body: StreamReader, max_body_bytes: int
) -> Framing:
    """
    Return the framing of a request; ``message`` is None where the line table has read its head.

    Raises what `check_request` raises.
    """
    if message is not None:
        return check_request(message, max_body_bytes)
    if isinstance(body, WholeBody):
        return length_framing(len(body.data), max_body_bytes)
    return NO_BODY


def check_request(message: RawRequestMessage, max_body_bytes: int) -> Framing:
    """
    Return the framing of a request that can be forwarded.

    Raises `UnsupportedVersion` (the parser accepts HTTP/0.9), `ExpectationFailed`, and what
    `request_framing` raises.
    """
    headers, version = message.headers, message.version
    if version not in _VERSIONS:
        raise UnsupportedVersion(str(version))
    expects = "Expect" in headers
    if expects and any(expected.lower() != "100-continue" for expected in headers.getall("Expect")):
        raise ExpectationFailed("not 100-continue")
    framing = request_framing(headers, version, max_body_bytes)
    if not expects or framing is NO_BODY:
        return framing
    return framing._replace(expects_continue=True)


def has_strict_line(message: RawRequestMessage, head: bytes) -> bool:
    """
    Return whether ``head`` begins with a request line in canonical form (RFC 9112 section 3).

    The parser skips spaces and leading control characters, and does not report the protocol's
    name: ``RTSP/1.0`` is reported as HTTP/1.0. One empty line may precede (section 2.2).
    """
    if message.version not in _VERSIONS:
        return True  # `check_request` refuses the version
    major, minor = message.version
    text = f"{message.method} {message.path} HTTP/{major}.{minor}\r\n"
    line = text.encode("utf-8", "surrogateescape")
    return head.startswith((line, b"\r\n" + line))


def has_lost_body(message: RawRequestMessage) -> bool:
    """
    Return whether the parser took a request to have no body, against its Transfer-Encoding.

    In a request to upgrade it ignores a coding that it does not know, such as one with white space
    behind it: the body would be read as the next request.
    """
    return message.upgrade and not message.chunked and "Transfer-Encoding" in message.headers


def keeps_alive(message: RawRequestMessage) -> bool:
    """
    Return whether the client wants to keep the connection (RFC 9112 section 9.3).

    An HTTP/1.0 client has to ask for it in Connection, where ``close`` wins; the parser would also
    accept Proxy-Connection.
    """
    if message.should_close or message.version >= _VERSIONS[0]:
        return not message.should_close
    options = connection_options(message.headers)
    return "keep-alive" in options and "close" not in options


def response_fault(message: RawResponseMessage) -> str | None:
    """Return what is wrong with the head of an answer that the parser accepted."""
    if message.version not in _VERSIONS:
        return "version"
    if message.code < _LEAST_STATUS:
        return "status"
    if message.chunked and message.version < _VERSIONS[0]:
        return "chunked in HTTP/1.0"  # RFC 9112 section 6.1: its end is uncertain
    return None
