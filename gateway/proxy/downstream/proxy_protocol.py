"""
The PROXY protocol, versions 1 and 2: a header by which a load balancer names the client.

It is read first on a connection, and only from trusted peers; see
https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from gateway.core.address import IPAddress
from gateway.routing.client_address import fold

_MAX_V1_BYTES = 107
"""The longest line of version 1, its CRLF included (section 2.1)."""

_FIXED_BYTES = 16
_MAX_V2_BODY_BYTES = 4096
"""Addresses and TLVs; the format allows 64 KiB, mostly for fields of a client certificate."""

MAX_BYTES = _FIXED_BYTES + _MAX_V2_BODY_BYTES
"""The longest header that is accepted."""

_V1_START = b"PROXY "
_V2_START = b"\r\n\r\n\0\r\nQUIT\n"
_V1_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?"
    rb"|TCP4 ([0-9.]{7,15}) ([0-9.]{7,15}) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
    rb"|TCP6 ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39}) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))"
)
_HIGHEST_PORT = 65535

_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESS_BYTES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
_TLV_HEAD_BYTES = 3
_TLV_SSL = 0x20
_CLIENT_SSL = 0x01
_SSL_HEAD_BYTES = 5


class ProxyHeader(NamedTuple):
    """A parsed PROXY header."""

    source: IPAddress | None
    """The client; None if the connection is the balancer's own, or it does not know."""
    is_tls: bool
    """Whether the client used TLS to the balancer (PP2_TYPE_SSL)."""
    size_bytes: int
    """Size of the header; the client's bytes follow it."""


def read(data: bytes) -> ProxyHeader | None:
    """
    Return the header at the start of ``data``; None if it is not complete.

    While it returns None, all of ``data`` belongs to the header. A malformed header is refused as
    soon as it is seen: a guess could yield another client's address. Raises `ValueError`.
    """
    if data.startswith(_V2_START):
        return _read_v2(data)
    if data.startswith(_V1_START):
        return _read_v1(data)
    if _V2_START.startswith(data) or _V1_START.startswith(data):
        return None
    raise ValueError("no PROXY header")


# --- version 1: a line of text -----------------------------------------------------------------


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _MAX_V1_BYTES)
    if end < 0:
        if len(data) >= _MAX_V1_BYTES:
            raise ValueError("PROXY line too long")
        return None
    match = _V1_LINE.fullmatch(data, 0, end)
    if match is None:
        raise ValueError("malformed PROXY line")
    source4, target4, *ports4, source6, target6, sport6, dport6 = match.groups()
    if source4:
        return _from(IPv4Address, (source4, target4), ports4, end + 2)
    if source6:
        return _from(IPv6Address, (source6, target6), [sport6, dport6], end + 2)
    return ProxyHeader(None, is_tls=False, size_bytes=end + 2)


def _from(
    family: type[IPAddress], ends: tuple[bytes, bytes], ports: list[bytes], size: int
) -> ProxyHeader:
    source, _ = (family(end.decode()) for end in ends)
    if any(int(port) > _HIGHEST_PORT for port in ports):
        raise ValueError("port out of range")
    return ProxyHeader(_specified(source), is_tls=False, size_bytes=size)


# --- version 2: binary -------------------------------------------------------------------------


def _read_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED_BYTES:
        return None
    command, family = data[12], data[13]
    size = _FIXED_BYTES + int.from_bytes(data[14:16])
    if command not in (_LOCAL, _PROXY):
        raise ValueError("unknown PROXY version or command")
    if size > MAX_BYTES:
        raise ValueError("PROXY header too long")
    if len(data) < size:
        return None
    if command == _LOCAL:  # a health check of the balancer; the rest is meaningless
        return ProxyHeader(None, is_tls=False, size_bytes=size)
    address_bytes = _ADDRESS_BYTES.get(family)
    if address_bytes is None:
        raise ValueError("no stream of a known family")
    body = data[_FIXED_BYTES:size]
    if len(body) < address_bytes:
        raise ValueError("PROXY header too short for its addresses")
    is_tls = _has_client_tls(body[address_bytes:])
    return ProxyHeader(_source(family, body), is_tls, size)


def _source(family: int, body: bytes) -> IPAddress | None:
    if family == _TCP4:
        return _specified(ip_address(body[:4]))
    if family == _TCP6:
        return _specified(ip_address(body[:16]))
    return None


def _specified(address: IPAddress) -> IPAddress:
    address = fold(address)
    if address.is_unspecified:  # else it would equal `UNIX_PEER`, which may be trusted
        raise ValueError("the unspecified address is no client's")
    return address


def _has_client_tls(tlvs: bytes) -> bool:
    """Return whether a TLV says that the client used TLS; other TLVs are skipped."""
    has_tls = False
    at = 0
    while at < len(tlvs):
        head = tlvs[at : at + _TLV_HEAD_BYTES]
        at += _TLV_HEAD_BYTES + int.from_bytes(head[1:])
        if len(head) < _TLV_HEAD_BYTES or at > len(tlvs):
            raise ValueError("a TLV that goes beyond the PROXY header")
        if head[0] == _TLV_SSL:
            value = tlvs[at - int.from_bytes(head[1:]) : at]
            if len(value) < _SSL_HEAD_BYTES:
                raise ValueError("a TLV too short")
            has_tls = bool(value[0] & _CLIENT_SSL)
    return has_tls
