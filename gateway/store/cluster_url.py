"""URLs of a Redis Cluster: ``redis+cluster://user:password@host:port,host:port?option=value``."""

import re
from typing import NamedTuple

from gateway.store.slots import NodeAddress

DEFAULT_PORT = 6379
_HIGHEST_PORT = 65_535

_URL = re.compile(
    r"(?P<scheme>rediss?)\+cluster://"
    r"(?:(?P<user>[^/?#]*)@)?(?P<nodes>[^/?#@]+)/?0?(?P<options>\?[^#]*)?"
)
_NODE = re.compile(
    r"(?:\[(?P<ip6>[0-9A-Fa-f:.]+)\]|(?P<host>[^][:,\s]+))(?::(?P<port>[0-9]{1,5}))?"
)


class ClusterUrl(NamedTuple):
    """What a URL says: some nodes to ask for the others, and what holds for all of them."""

    scheme: str
    """Of the URL of one node: ``redis``, or ``rediss`` for TLS."""
    user: str
    """User and password, as in the URL; may be empty."""
    seeds: tuple[NodeAddress, ...]
    options: str
    """The query with its question mark, or empty text."""

    def of_node(self, address: NodeAddress) -> str:
        """Return the URL of one node."""
        user = f"{self.user}@" if self.user else ""
        return f"{self.scheme}://{user}{address}{self.options}"


def parse(url: str) -> ClusterUrl:
    """
    Read a URL. A cluster has the database 0 alone.

    Raises `ValueError`, which does not repeat the URL: it may hold a password.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("expected redis+cluster://host:port,host:port")
    seeds = tuple(map(_seed, match["nodes"].split(",")))
    return ClusterUrl(match["scheme"], match["user"] or "", seeds, match["options"] or "")


def _seed(text: str) -> NodeAddress:
    match = _NODE.fullmatch(text)
    port = int(match["port"] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port <= _HIGHEST_PORT:
        raise ValueError("expected host:port,host:port")
    return NodeAddress(match["ip6"] or match["host"], port)
