"""The client's address: which of the reported addresses can be trusted."""

import re
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from socket import AF_INET, AF_INET6, inet_ntoa, inet_pton
from struct import Struct
from typing import NamedTuple

from gateway.core.address import IPAddress, IPNetwork
from gateway.core.request import Client


class ClientIp(StrEnum):
    """Where the client's address is read from. There is no default: the operator chooses."""

    PEER = "peer"
    """The other end of the socket: right where clients connect without a proxy in front."""
    X_FORWARDED_FOR = "x-forwarded-for"
    """The field that our own proxies in front write: right behind a balancer that we run."""
    FORWARDED = "forwarded"
    """The same with the field of RFC 7239, where our proxies write it."""
    PROXY_PROTOCOL = "proxy-protocol"
    """The PROXY header of our own balancer: right behind one that balances TCP."""


UNIX_PEER = IPv6Address("::")
"""Stands for the peer of a unix socket, which has no address; no other peer has this one."""

UNIX_PEERS = IPv6Network("::/128")
"""The network of `UNIX_PEER`: ``unix:`` among the trusted proxies."""

_UNSPECIFIED = bytes(4)
"""The IPv4 address that is no client's, in network order."""

UNIX = "unix:"
"""The name of the peer of a unix socket."""


_FIRST_GROUPS = Struct("!4H").unpack_from
"""Of an IPv6 address in network order: the groups of 16 bits that name its /64 network."""


def network_text(network: IPNetwork) -> str:
    """Return a network as a config names it."""
    return UNIX if network == UNIX_PEERS else str(network)


def fold(address: IPAddress) -> IPAddress:
    """
    Normalise an address: IPv4-mapped IPv6 becomes IPv4, and the zone is dropped.

    ``::ffff:192.0.2.1`` and ``192.0.2.1`` are one client (RFC 4291 section 2.5.5.2). Otherwise it
    would have two rate limits, and could evade a deny-list that names one of them.
    """
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def parse_address(text: str) -> IPAddress:
    """Parse an address as proxies write it, with or without port. Raises `ValueError`."""
    text = text.strip(" \t")
    if text.startswith("["):  # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:443
        text = text.partition(":")[0]
    return _specified(text)


def _specified(text: str) -> IPAddress:
    """
    Parse an address other than the unspecified one, which `UNIX_PEER` has.

    ``inet_pton`` takes a tenth of the time of ``ip_address`` and reads no other text. What it does
    not read, such as a zone, ``ip_address`` reads or refuses.
    """
    family, version = (AF_INET6, IPv6Address) if ":" in text else (AF_INET, IPv4Address)
    try:
        address = fold(version(inet_pton(family, text)))
    except (OSError, ValueError):
        address = fold(ip_address(text))
    if not int(address):
        raise ValueError("the unspecified address is no client's")
    return address


def client_address(
    peer: IPAddress, forwarded_for: Sequence[str], trusted: Sequence[IPNetwork]
) -> IPAddress:
    """
    Return the rightmost address that is not one of our own proxies.

    Every proxy appends the peer it saw to the right of X-Forwarded-For, so only the right-hand end
    is written by machines that we run. Walk leftwards from the socket while the hop is trusted, and
    stop at the first that is not. Reading from the left would let a client spoof its address
    (CVE-2024-21494). ``forwarded_for`` are the field's lines in order.

    An unreadable hop ends the walk, as no trusted proxy wrote what lies beyond it.
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
    """Whether ``address`` lies in one of the ``trusted`` networks."""
    for network in trusted:  # noqa: SIM110 - a generator doubles the time of one network
        if address in network:
            return True
    return False


def client_at(address: IPAddress) -> Client:
    """
    Return the client at ``address``, with its key for rate limits: of IPv6, the /64 network.

    A household or a cloud machine has a whole /64 (RFC 6177): counted by address, it would have
    2**64 limits.
    """
    if isinstance(address, IPv4Address):
        text = inet_ntoa(address.packed)
        return Client(address, text, text)
    if address == UNIX_PEER:
        return Client(address, UNIX, UNIX)
    return Client(address, str(address), _prefix_of(address))


def plain_client(text: str) -> Client | None:
    """
    Return the client at ``text`` where that is an IPv4 address alone; None for any other text.

    The same as by `parse_address` and `client_at`, in a third of the time: ``inet_pton`` reads no
    other spelling of an address than its own.
    """
    try:
        packed = inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return None
    if packed == _UNSPECIFIED:
        return None
    # Half the time of a call of the class.
    return tuple.__new__(Client, (IPv4Address(packed), text, text, "", None))


def _prefix_of(address: IPv6Address) -> str:
    """Return the /64 network of ``address``, in the form of RFC 5952."""
    text = "{:x}:{:x}:{:x}:{:x}".format(*_FIRST_GROUPS(address.packed))
    while text.endswith(":0"):  # these belong to the longest run of zeros, that at the end
        text = text.removesuffix(":0")
    return f"{text}::/64" if text != "0" else "::/64"


def _hops(lines: Sequence[str]) -> list[str]:
    return [hop for line in lines for hop in line.split(",")]


# --- Forwarded (RFC 7239) ----------------------------------------------------------------------


class ForwardedClient(NamedTuple):
    """The client as our own proxies report it."""

    address: IPAddress
    scheme: str
    """Of the client's request to them: ``http``, ``https``, or empty where it is not reported."""


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
"""Limit on commas in the quoted strings of one element; usual elements hold none."""


def forwarded_client(
    peer: IPAddress, lines: Sequence[str], trusted: Sequence[IPNetwork]
) -> ForwardedClient:
    """
    Return the client by the lines of ``Forwarded``, with its scheme; see `client_address`.

    The lines are read from the right, an element at a time. So an unbalanced quotation mark of a
    client cannot swallow what our proxies have appended (CVE-2026-57210), nor can one in a Host
    that they repeat (GHSA-4jgr-pg2m-m988). ``unknown``, an obfuscated name, a repeated parameter,
    or anything malformed ends the walk.
    """
    nearest, scheme = peer, ""
    for line in reversed(lines):
        rest: str | None = line
        while rest is not None:
            if not is_trusted(nearest, trusted):
                return ForwardedClient(nearest, scheme)
            element, rest = _split_last(rest)
            parameters = _parameters(element)
            scheme = forwarded_scheme([parameters.get("proto", "").lower()])
            try:
                nearest = _node(parameters.get("for", ""))
            except ValueError:
                return ForwardedClient(nearest, scheme)
    return ForwardedClient(nearest, scheme)


def forwarded_scheme(values: Sequence[str]) -> str:
    """Return the scheme that a trusted proxy reported; empty unless it is one known scheme."""
    return values[0] if len(values) == 1 and values[0] in _SCHEMES else ""


def _node(text: str) -> IPAddress:
    match = _NODE.fullmatch(text)
    if match is None:
        raise ValueError("no address")
    return _specified(match[1] or match[2])


def _split_last(line: str) -> tuple[str, str | None]:
    """Split off the last element; it is empty where it is malformed."""
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
    """Return the parameters by name in lower case; none where one is repeated."""
    parameters: dict[str, str] = {}
    for name, token, quoted in _PAIRS.findall(element):
        if name.lower() in parameters:
            return {}
        parameters[name.lower()] = token or _unquote(quoted)
    return parameters


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)
