"""
Checks of an upgrade: what request and 101 have to agree on (RFC 9110 section 7.8).

A connection is upgraded only if both sides agree. Bytes that one side reads as the new protocol and
the other as requests allow request smuggling (CVE-2026-69243).
"""

import re
from typing import NamedTuple

from gateway.core.errors import (
    BadRequest,
    BadUpstreamAnswer,
    UnsupportedUpgrade,
    WrongWebSocketVersion,
)
from gateway.core.request import RequestHeaders
from gateway.core.route import WEBSOCKET, is_websocket
from gateway.proxy.http1.framing import connection_options
from gateway.proxy.tunnel.websocket import accept_for

_WEBSOCKET_VERSION = "13"

_PROTOCOL = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 octets (RFC 6455 section 4.1)
_HTTP_1_1 = (1, 1)
_FRAMING = ("Content-Length", "Transfer-Encoding")


class Upgrade(NamedTuple):
    """The protocol that a client asks for."""

    token: str
    """One protocol, with its version if any; as the client spells it, except for WebSocket."""
    accept: str = ""
    """The required ``Sec-WebSocket-Accept``; empty unless the protocol is WebSocket."""

    @property
    def name(self) -> str:
        """The token as routes list it, in lower case."""
        return self.token.lower()

    @property
    def fields(self) -> bytes:
        """The field lines for this hop; those of the client's hop were stripped."""
        return f"Connection: Upgrade\r\nUpgrade: {self.token}\r\n".encode("ascii")


def may_switch(method: str, version: tuple[int, int], headers: RequestHeaders) -> bool:
    """
    Return whether the gateway may agree to switch protocols after a request to upgrade, or CONNECT.

    What comes behind such a request is kept until the app has answered. In any other request
    ``Upgrade`` is ignored, as RFC 9110 section 7.8 lets a server do: one with a body, one that
    offers several protocols, one of HTTP/1.0. A request for a WebSocket is never ignored, so its
    faults are answered.
    """
    if method == "CONNECT":
        return True
    tokens = [token.strip() for line in headers.getall("Upgrade", ()) for token in line.split(",")]
    if any(is_websocket(token) for token in tokens):
        return True
    has_body = any(name in headers for name in _FRAMING)
    is_plain_get = method == "GET" and version == _HTTP_1_1 and not has_body
    return is_plain_get and len(tokens) == 1 and _PROTOCOL.fullmatch(tokens[0]) is not None


def requested_upgrade(method: str, version: tuple[int, int], headers: RequestHeaders) -> Upgrade:
    """
    Return the upgrade that a request with ``Upgrade`` and ``Connection: upgrade`` asks for.

    Raises `UnsupportedUpgrade` (also for CONNECT), `WrongWebSocketVersion`, or
    `BadRequest` for a body, or a WebSocket handshake that breaks RFC 6455 section 4.2.1.
    """
    if any(name in headers for name in _FRAMING):
        raise BadRequest("a request to upgrade has a body")
    if method != "GET" or version != _HTTP_1_1:
        raise UnsupportedUpgrade("not a GET of HTTP/1.1")
    token = _only(headers, "Upgrade")
    if token is None or not _PROTOCOL.fullmatch(token):
        raise UnsupportedUpgrade("not exactly one protocol")
    if token.lower() != WEBSOCKET:
        return Upgrade(token)
    return Upgrade(WEBSOCKET, accept_for(_websocket_key(headers)))


def _websocket_key(headers: RequestHeaders) -> str:
    version, key = _only(headers, "Sec-WebSocket-Version"), _only(headers, "Sec-WebSocket-Key")
    if version is None or key is None:
        raise BadRequest("not one Sec-WebSocket-Version and one Sec-WebSocket-Key")
    if version != _WEBSOCKET_VERSION:
        raise WrongWebSocketVersion("not version 13")
    if not _KEY.fullmatch(key):
        raise BadRequest("Sec-WebSocket-Key is not 16 octets")
    return key


def check_switch(asked: Upgrade, version: tuple[int, int], headers: RequestHeaders) -> None:
    """
    Check that a 101 agrees with the request.

    Raises `BadUpstreamAnswer` if it names another protocol, has a body (RFC 9110 section 8.6), or
    was made without the WebSocket handshake (RFC 6455 section 4.1), by a cache for example.
    """
    if version != _HTTP_1_1 or any(name in headers for name in _FRAMING):
        raise BadUpstreamAnswer("101 with a body, or in HTTP/1.0")
    said = _only(headers, "Upgrade")
    if said is None or said.lower() != asked.name:
        raise BadUpstreamAnswer("101 to another protocol")
    if "upgrade" not in connection_options(headers):
        raise BadUpstreamAnswer("101 without Connection: upgrade")
    if asked.accept and _only(headers, "Sec-WebSocket-Accept") != asked.accept:
        raise BadUpstreamAnswer("wrong Sec-WebSocket-Accept")


def _only(headers: RequestHeaders, name: str) -> str | None:
    """Return the value of a field that is present exactly once."""
    values = headers.getall(name, ())
    return values[0] if len(values) == 1 else None
