"""Hash slots of a Redis Cluster, and which node serves each of them."""

import re
from binascii import crc_hqx
from collections.abc import Sequence
from typing import Any, NamedTuple

SLOTS = 16_384

_UNKNOWN = b"?"
"""In place of the name of a node that has none."""


_HOST = re.compile(r"[0-9A-Za-z._:-]{0,253}", re.ASCII)


class NodeAddress(NamedTuple):
    """Where a node is reached: a name or an IP address, an IPv6 one without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class SlotRange(NamedTuple):
    """Slots that one primary serves."""

    first: int
    last: int
    primary: NodeAddress


def slot_of(name: bytes) -> int:
    """Return the slot of a key: by its hash tag, where it has one that is not empty."""
    begin = name.find(b"{") + 1
    if begin:
        end = name.find(b"}", begin)
        if end > begin:
            name = name[begin:end]
    return crc_hqx(name, 0) % SLOTS


def is_host(text: str) -> bool:
    """
    Whether a node may call another one so: by a name or an address, or by none.

    It becomes part of a URL, of which nothing else may be changed by it.
    """
    return _HOST.fullmatch(text) is not None


def is_slot_map(reply: object) -> bool:
    """Accept the reply of CLUSTER SLOTS: ranges, each with its primary before its replicas."""
    return type(reply) is list and all(map(_is_range, reply))


def _is_range(part: object) -> bool:
    match part:
        case [int(first), int(last), [host, int(port), *_], *_]:
            return _is_named(host) and 0 <= first <= last < SLOTS and 0 <= port <= 65_535  # noqa: PLR2004
    return False


def _is_named(host: object) -> bool:
    if type(host) is not bytes:
        return host is None
    return host == _UNKNOWN or is_host(host.decode("latin-1"))


def ranges_of(reply: Sequence[Any], asked: NodeAddress) -> list[SlotRange]:
    """
    Read the reply of CLUSTER SLOTS, which `is_slot_map` accepts.

    A node that does not know its own host is reached where it was asked. One whose name is unknown
    is not reached at all.
    """
    return [
        SlotRange(first, last, NodeAddress(host.decode("ascii"), port))
        for first, last, (found, port, *_), *_ in reply
        if (host := found or asked.host.encode()) != _UNKNOWN
    ]


def covered(ranges: Sequence[SlotRange]) -> int:
    """Return how many slots have a primary."""
    return sum(part.last - part.first + 1 for part in ranges)
