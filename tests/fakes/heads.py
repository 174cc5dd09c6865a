"""Request heads as the parser would hand them over."""

from ipaddress import ip_address

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.request import ReceivedLines, RequestHead
from gateway.routing.client_address import client_at

REQUEST_ID = "req-1"

WRITTEN = [
    ("Host", "app.example.com"),
    ("Via", "1.1 gateway"),
    ("Forwarded", 'for=203.0.113.9;host="app.example.com";proto=https'),
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "app.example.com"),
    ("X-Request-Id", REQUEST_ID),
]
"""What the gateway tells every app of a `request_head` that came over HTTPS."""


def multidict(*fields: tuple[str, str]) -> CIMultiDictProxy[str]:
    """Field lines for look-ups."""
    return CIMultiDictProxy(CIMultiDict(fields))


def raw(*fields: tuple[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Field lines as they came over the wire; the inverse of how aiohttp decodes them."""
    return tuple(
        (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
        for name, value in fields
    )


def field_lines(*fields: tuple[str, str]) -> ReceivedLines:
    """Field lines as a request head has them."""
    return ReceivedLines(
        tuple(name for name, _ in fields),
        tuple(name + b": " + value for name, value in raw(*fields)),
    )


def request_head(
    *fields: tuple[str, str],
    method: str = "GET",
    target: str = "/",
    host: str | None = "app.example.com",
    version: tuple[int, int] = (1, 1),
    peer: str = "203.0.113.9",
) -> RequestHead:
    """A head with ``fields`` after its Host; ``host`` None leaves Host out."""
    lines = fields if host is None else (("Host", host), *fields)
    return RequestHead(
        method=method,
        target=target,
        version=version,
        headers=multidict(*lines),
        lines=field_lines(*lines),
        peer=client_at(ip_address(peer)),
        request_id=REQUEST_ID,
    )


def read_lines(block: bytes) -> list[tuple[str, str]]:
    """Read the field lines of ``block``, of which each ends with CRLF."""
    *read, rest = block.decode("latin-1").split("\r\n")
    assert rest == ""
    return [(name, value) for name, _, value in (line.partition(": ") for line in read)]
