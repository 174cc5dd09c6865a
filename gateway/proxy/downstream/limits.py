"""What clients may use: the limits of one connection, and how many connections there may be."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from gateway.core.address import IPNetwork
from gateway.core.request import Client
from gateway.routing.client_address import is_trusted


class ConnectionLimits(NamedTuple):
    """Limits of clients and their connections. Times in seconds, sizes in bytes."""

    head_s: float = 10.0
    body_idle_s: float = 30.0
    keep_alive_s: float = 75.0
    half_closed_s: float = 5.0
    min_bytes_per_s: int = 128
    head_bytes: int = 16 * 1024
    fields: int = 100
    connections: int = 10_000
    connections_per_client: int = 1000
    tunnels: int = 10_000


class ConnectionCounter:
    """Counts the open connections of each client."""

    def __init__(self) -> None:
        self._by_client: Counter[str] = Counter()

    def acquire(self, peer: Client, max_per_client: int, exempt: Sequence[IPNetwork]) -> bool:
        """
        Count one more connection unless its client is at its limit; return whether it is counted.

        Trusted proxies are exempt: one address of theirs stands for many clients.
        """
        count = self._by_client[peer.limit_key] + 1
        if count > max_per_client and not is_trusted(peer.address, exempt):
            return False
        self._by_client[peer.limit_key] = count
        return True

    def release(self, peer: Client) -> None:
        """Count one connection less; a client without connections takes no memory."""
        self._by_client[peer.limit_key] -= 1
        if not self._by_client[peer.limit_key]:
            del self._by_client[peer.limit_key]

    def clients(self) -> int:
        """Return the number of different clients."""
        return len(self._by_client)
