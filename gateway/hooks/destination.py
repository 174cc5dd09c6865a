"""
Addresses that webhooks may go to: public ones, and networks that the operator lists.

A URL of a webhook may come from a person who does not run the network of the gateway, and a name
may lead to another address each time it is asked for. So each address is judged just before it is
connected to, whatever named it.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.core.address import IPNetwork

# Special-purpose blocks of the registries of IANA (RFC 6890), multicast, and what clouds serve
# credentials at beside 169.254.0.0/16.
_NOT_PUBLIC_4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
]
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = [
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""An IPv4 address in the last 32 bits (NAT64, RFC 6052): judged as that."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether ``address`` is one of the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _TRANSLATED:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _PUBLIC_6 and not any(address in block for block in _NOT_PUBLIC_6)


class Destinations:
    """Judges addresses by the networks in ``hooks.allow_private``."""

    def __init__(self, private: Sequence[IPNetwork] = ()) -> None:
        self._private = private

    def is_allowed(self, text: str) -> bool:
        """Return whether a webhook may go to the address ``text``; what is none may not."""
        address = _address(text)
        return address is not None and (is_public(address) or self.is_private(text))

    def is_private(self, text: str) -> bool:
        """Return whether ``text`` is an address of a network that the operator lists."""
        address = _address(text)
        return address is not None and any(address in network for network in self._private)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address ``text``, an IPv4 one in IPv6 as itself; None for one with a scope."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id is not None else address.ipv4_mapped or address
    return address
