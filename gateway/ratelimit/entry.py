"""
Entries of deny and allow lists: an address, a network, an issuer, or an email address.

An entry has one canonical spelling, by which the store keeps it and operators remove it.
"""

import re
from ipaddress import IPv6Network, ip_address, ip_network
from socket import AF_INET, inet_pton
from typing import Final, NamedTuple

from gateway.core.address import IPNetwork
from gateway.core.email import canonical_email
from gateway.core.issuer import read_name

ALL_OF: Final = "*@"
"""Stands before a domain: all email addresses there."""

_ADDRESS_OR_NETWORK = re.compile(r"[0-9A-Fa-f:]*[.:][0-9A-Fa-f.:]*(?:/[0-9]{1,3})?", re.ASCII)
_MAPPED_BITS = 96


class NetworkPrefix(NamedTuple):
    """A network: all addresses of the version whose first bits are ``number``."""

    version: int
    host_bits: int
    """How many bits of an address are left to the hosts."""
    number: int


class Entry(NamedTuple):
    """An entry. Without a prefix it is an issuer or an email address."""

    text: str
    prefix: NetworkPrefix | None = None


def read_entry(text: str) -> Entry:
    """Read an entry. Raises `ValueError` that says what is wrong, and never shows ``text``."""
    text = text.strip()
    if _is_ipv4(text):
        return Entry(text, NetworkPrefix(4, 0, int.from_bytes(inet_pton(AF_INET, text))))
    if _ADDRESS_OR_NETWORK.fullmatch(text):
        return _network(text)
    if text.startswith(ALL_OF):
        return Entry(ALL_OF + _domain(text.removeprefix(ALL_OF)))
    try:
        return Entry(read_name(text).text)
    except ValueError as error:
        raise ValueError(f"expected an address, a network, or a caller: {error}") from None


def _is_ipv4(text: str) -> bool:
    """Whether ``text`` is an IPv4 address other than 0.0.0.0, in its only spelling."""
    try:
        return any(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        return False


def _network(text: str) -> Entry:
    try:
        written = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected an address, or a network such as 10.0.0.0/8") from None
    if ip_address(text.partition("/")[0]) != written.network_address:
        raise ValueError("a network with bits set beyond its prefix: write them as 0")
    wide = _folded(written)
    number = int(wide.network_address)
    host_bits = wide.max_prefixlen - wide.prefixlen
    if not wide.prefixlen:
        raise ValueError("a /0 network matches all clients")
    if not host_bits and not number:
        raise ValueError("the unspecified address is no client's")
    spelled = str(wide) if host_bits else str(wide.network_address)
    return Entry(spelled, NetworkPrefix(wide.version, host_bits, number >> host_bits))


def _folded(wide: IPNetwork) -> IPNetwork:
    """Return the IPv4 network that an IPv4-mapped one is: its clients are known by IPv4."""
    if not isinstance(wide, IPv6Network) or wide.prefixlen < _MAPPED_BITS:
        return wide
    mapped = wide.network_address.ipv4_mapped
    return ip_network((mapped, wide.prefixlen - _MAPPED_BITS)) if mapped is not None else wide


def _domain(text: str) -> str:
    try:
        return canonical_email(f"x@{text}").removeprefix("x@")
    except ValueError:
        raise ValueError("expected *@ and a domain, such as *@example.com") from None
