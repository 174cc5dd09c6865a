"""Whose address is this, really?"""

import re
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from gateway.core.address import IPAddress, IPNetwork
from gateway.core.request import Client


class ClientIp(StrEnum):
    """Where the client's address is read from. There is no default: the operator chooses."""

    PEER = "peer"
    """The other end of the socket: right where clients connect to us without a proxy between."""
    X_FORWARDED_FOR = "x-forwarded-for"
    """What the proxies of ours in front wrote down: right behind a balancer that we run."""
    FORWARDED = "forwarded"
    """The same in the words of RFC 7239, where our proxies write those."""
    PROXY_PROTOCOL = "proxy-protocol"
    """What a balancer of ours says before all else on a connection: right behind one of TCP."""


UNIX_PEER = IPv6Address("::")
"""The address of whoever has none, at the other end of a unix socket; nobody else has this one."""

UNIX_PEERS = IPv6Network("::/128")
"""The network of `UNIX_PEER`: ``unix:`` among the trusted proxies."""

UNIX = "unix:"
"""How whoever is behind a unix socket is called."""


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
    return _somebody(text)


def _somebody(text: str) -> IPAddress:
    address = fold(ip_address(text))
    if address.is_unspecified:
        raise ValueError("nobody has the unspecified address")  # but for us: see `UNIX_PEER`
    return address


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


def client_at(address: IPAddress) -> Client:
    """
    ``address`` with the name under which its use is counted: IPv4 whole, of IPv6 the /64.

    A household or a cloud machine is handed a whole /64 (RFC 6177): counted by address, it would
    have 2**64 limits.
    """
    if address == UNIX_PEER:
        return Client(address, UNIX, UNIX)
    text = str(address)
    if isinstance(address, IPv6Address):
        return Client(address, text, f"{IPv6Address(int(address) >> 64 << 64)}/64")
    return Client(address, text, text)


def _hops(lines: Sequence[str]) -> list[str]:
    return [hop for line in lines for hop in line.split(",")]


# --- Forwarded (RFC 7239) ----------------------------------------------------------------------


class ForwardedClient(NamedTuple):
    """What our own proxies say of a request."""

    address: IPAddress
    scheme: str
    """With which the client came to them: ``http``, ``https``, or empty where they do not say."""


_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token of RFC 9110 section 5.6.2
_PAIR = rf'({_WORD})=(?:({_WORD})|"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*)")'
_PAIRS = re.compile(_PAIR)
_ELEMENT = re.compile(rf"{_PAIR}(?:;{_PAIR})*")  # RFC 7239 section 4; no space is allowed in it
_NODE = re.compile(
    r"(?:([0-9]{1,3}(?:\.[0-9]{1,3}){3})|\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\])"
    r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
)
_SCHEMES = frozenset({"http", "https"})
_MOST_COMMAS = 8
"""In the quoted strings of one element; none of what we read should hold any."""


def forwarded_client(
    peer: IPAddress, lines: Sequence[str], trusted: Sequence[IPNetwork]
) -> ForwardedClient:
    """
    Like `client_address`, by the lines of ``Forwarded``, with the scheme that the client used.

    Read from the right too, an element at a time: a quotation mark that a client leaves open
    further left swallows nothing of what our proxies have appended (CVE-2026-57210), nor does what
    it puts into a Host that they repeat (GHSA-4jgr-pg2m-m988). ``unknown``, an obfuscated name, a
    parameter said twice, or anything malformed ends the walk.
    """
    nearest, scheme = peer, ""
    for line in reversed(lines):
        rest: str | None = line
        while rest is not None:
            if not is_trusted(nearest, trusted):
                return ForwardedClient(nearest, scheme)
            element, rest = _split_last(rest)
            said = _parameters(element)
            scheme = forwarded_scheme([said.get("proto", "").lower()])
            try:
                nearest = _node(said.get("for", ""))
            except ValueError:
                return ForwardedClient(nearest, scheme)
    return ForwardedClient(nearest, scheme)


def forwarded_scheme(said: Sequence[str]) -> str:
    """The scheme that a proxy of ours named; empty unless it is one word, and one that we know."""
    return said[0] if len(said) == 1 and said[0] in _SCHEMES else ""


def _node(text: str) -> IPAddress:
    match = _NODE.fullmatch(text)
    if match is None:
        raise ValueError("no address")
    return _somebody(match[1] or match[2])


def _split_last(line: str) -> tuple[str, str | None]:
    """The last element, and what stands before it; an empty element where that is unreadable."""
    at = len(line)
    for _ in range(_MOST_COMMAS):
        at = line.rfind(",", 0, at)
        element = line[at + 1 :].strip(" \t")
        if _ELEMENT.fullmatch(element):
            return element, line[:at] if at >= 0 else None
        if at < 0:
            break
    return "", None


def _parameters(element: str) -> dict[str, str]:
    """The parameters by name in lower case; none where one is there twice."""
    said: dict[str, str] = {}
    for name, token, quoted in _PAIRS.findall(element):
        if name.lower() in said:
            return {}
        said[name.lower()] = token or _unquote(quoted)
    return said


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)
