"""A small database of places in MaxMind's format (MMDB 2.0), written for tests."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

Node = list["Node | int | None"]

CITIES = {
    "81.2.69.0/24": {
        "city": {"names": {"en": "London", "de": "London", "fr": "Londres", "ja": "ロンドン"}},
        "country": {"names": {"en": "United Kingdom", "de": "Vereinigtes Königreich"}},
    },
    "89.160.20.0/24": {"country": {"names": {"en": "Sweden", "de": "Schweden"}}},
    "103.6.92.0/24": {
        "city": {"names": {"en": "Singapore"}},
        "country": {"names": {"en": "Singapore"}},
    },
    "2a02:d300::/32": {"country": {"names": {"en": "Ukraine"}}},
    "10.0.0.0/8": {"country": {"names": {"en": "Nowhere"}}},
}
"""What some networks are of; the last one is private."""


def write(path: Path, records: Mapping[str, object]) -> Path:
    """Write a database of ``records`` by network."""
    root: Node = [None, None]
    data, at = b"", {}
    for network, record in records.items():
        at[network] = len(data)
        data += _encoded(record)
        _put(root, network, at[network])
    nodes = _numbered(root)
    tree = b"".join(_written(node, nodes) for node in nodes)
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "database_type": "Test-City",
        "description": {"en": "for tests"},
        "ip_version": 6,
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": 32,
    }
    marker = b"\xab\xcd\xefMaxMind.com"
    # Readers leave out the last byte of a file when they look for the marker.
    path.write_bytes(tree + bytes(16) + data + marker + _encoded(metadata) + b"\0")
    return path


def _put(root: Node, network: str, offset: int) -> None:
    parsed = ip_network(network)
    shift = 96 if parsed.version == 4 else 0  # IPv4 stands below ::/96
    bits = f"{int(parsed.network_address):0{parsed.max_prefixlen}b}".rjust(128, "0")
    *way, last = map(int, bits[: parsed.prefixlen + shift])
    node = root
    for bit in way:
        below = node[bit]
        if not isinstance(below, list):
            below = node[bit] = [None, None]
        node = below
    node[last] = offset


def _numbered(root: Node) -> list[Node]:
    nodes = [root]
    for node in nodes:
        nodes += [below for below in node if isinstance(below, list)]
    return nodes


def _written(node: Node, nodes: list[Node]) -> bytes:
    numbers = {id(each): number for number, each in enumerate(nodes)}
    return b"".join(_pointer(below, numbers).to_bytes(4, "big") for below in node)


def _pointer(below: "Node | int | None", numbers: Mapping[int, int]) -> int:
    if below is None:
        return len(numbers)
    return numbers[id(below)] if isinstance(below, list) else len(numbers) + 16 + below


def _encoded(value: object) -> bytes:
    match value:
        case str():
            text = value.encode()
            return _control(2, len(text)) + text
        case int():
            return _control(6, 4) + value.to_bytes(4, "big")
        case list():
            return _control(11, len(value)) + b"".join(map(_encoded, value))
        case Mapping():
            pairs = (_encoded(each) for pair in value.items() for each in pair)
            return _control(7, len(value)) + b"".join(pairs)
        case _:
            raise TypeError(value)


def _control(kind: int, size: int) -> bytes:
    """Return the control byte, with the extended kind and a longer size where they are needed."""
    short, more = (size, b"") if size < 29 else (29, bytes((size - 29,)))
    first = (kind if kind < 8 else 0) << 5 | short
    return bytes((first,)) + (bytes((kind - 7,)) if kind > 7 else b"") + more
