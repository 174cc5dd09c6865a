"""Whose address is this, really?"""

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from gateway.messages import Caller, IPAddress, IPNetwork


class ClientIp(StrEnum):
    """Where the client's address is read from. There is no default: the operator chooses."""

    PEER = "peer"
    """The other end of the socket: right where clients connect to us without a proxy between."""
    X_FORWARDED_FOR = "x-forwarded-for"
    """What the proxies of ours in front wrote down: right behind a balancer that we run."""


def fold(address: IPAddress) -> IPAddress:
    """
    The one form of an address: IPv4-mapped IPv6 is IPv4, and a zone is left out.

    ``::ffff:192.0.2.1`` and ``192.0.2.1`` are one caller (RFC 4291 section 2.5.5.2): left apart
    they have two limits, and an allow-list that names one lets the other slip by.
    """
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def parse_address(text: str) -> IPAddress:
    """An address as proxies write it down, with or without port. Raises ValueError."""
    text = text.strip(" \t")
    if text.startswith("["):  # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:443
        text = text.partition(":")[0]
    return fold(ip_address(text))


def client_address(
    peer: IPAddress, forwarded_for: Sequence[str], trusted: Sequence[IPNetwork]
) -> IPAddress:
    """
    The nearest address on the way to the client that we have no reason to trust.

    Every proxy appends the peer it saw to the right of X-Forwarded-For, so only the right-hand end
    is written by machines we run: walk leftwards from the socket for as long as the hop is one of
    ours, and stop at the first that is not. Reading from the left instead lets a client choose its
    own address (CVE-2024-21494). ``forwarded_for`` are the field's lines in order.

    An unreadable hop ends the walk: what lies beyond it was not vouched for.
    """
    nearest = peer
    for hop in reversed(_hops(forwarded_for)):
        if not is_trusted(nearest, trusted):
            return nearest
        try:
            nearest = parse_address(hop)
        except ValueError:
            return nearest
    return nearest


def is_trusted(address: IPAddress, trusted: Sequence[IPNetwork]) -> bool:
    """Whether ``address`` lies in one of the networks that we run."""
    return any(address in network for network in trusted)


def caller(address: IPAddress) -> Caller:
    """
    ``address`` with the name under which its use is counted: IPv4 whole, of IPv6 the /64.

    A household or a cloud machine is handed a whole /64 (RFC 6177): counted by address, it would
    have 2**64 limits.
    """
    text = str(address)
    if isinstance(address, IPv6Address):
        return Caller(address, text, f"{IPv6Address(int(address) >> 64 << 64)}/64")
    return Caller(address, text, text)


def _hops(lines: Sequence[str]) -> list[str]:
    return [hop for line in lines for hop in line.split(",")]
