"""Request heads as the parser would hand them over."""

from ipaddress import ip_address

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.request import RequestHead
from gateway.routing.client_address import client_at

REQUEST_ID = "req-1"


def multidict(*fields: tuple[str, str]) -> CIMultiDictProxy[str]:
    """Field lines for look-ups."""
    return CIMultiDictProxy(CIMultiDict(fields))


def raw(*fields: tuple[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Field lines as they came over the wire; the inverse of how aiohttp decodes them."""
    return tuple(
        (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
        for name, value in fields
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
        raw_fields=raw(*lines),
        peer=client_at(ip_address(peer)),
        request_id=REQUEST_ID,
    )
