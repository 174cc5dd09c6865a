"""What clients may use: the limits of one connection, and how many connections there may be."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

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


class CountsOfOthers(Protocol):
    """What other processes are told of a client's connections, and tell of theirs."""

    parts: int
    """The part of what a client may have that need not be told is one of so many."""

    def place_of(self, client: str) -> int:
        """Return where a client is counted."""

    def add(self, place: int, change: int) -> None:
        """Tell of ``change`` more connections."""

    def elsewhere(self, place: int) -> int:
        """Return how many connections the others have told of."""


class ConnectionCounter:
    """Counts the open connections of each client."""

    def __init__(self, shared: CountsOfOthers | None = None) -> None:
        """Count together with other processes over ``shared``."""
        self._by_client: dict[str, int] = {}
        self._shared = shared
        self._places: dict[str, int] = {}
        """Of the clients whose connections the others are told of."""

    def acquire(self, peer: Client, max_per_client: int, exempt: Sequence[IPNetwork]) -> bool:
        """
        Count one more connection unless its client is at its limit; return whether it is counted.

        Trusted proxies are exempt: one address of theirs stands for many clients.
        """
        key, shared = peer.limit_key, self._shared
        count = self._by_client.get(key, 0) + 1
        if (
            count > (max_per_client if shared is None else max_per_client // shared.parts)
            and not is_trusted(peer.address, exempt)
            and not self._has_room(key, count, max_per_client)
        ):
            return False
        self._by_client[key] = count
        if shared is not None and key in self._places:
            shared.add(self._places[key], 1)
        return True

    def _has_room(self, key: str, count: int, max_per_client: int) -> bool:
        """Ask the others whether a client may have ``count`` here; if so, tell them from now on."""
        shared = self._shared
        if shared is None:
            return False
        place = self._places.get(key)
        if place is None:
            place = shared.place_of(key)
        if count + shared.elsewhere(place) > max_per_client:
            return False
        if key not in self._places:
            self._places[key] = place
            shared.add(place, count - 1)
        return True

    def release(self, peer: Client) -> None:
        """Count one connection less; a client without connections takes no memory."""
        key = peer.limit_key
        count = self._by_client.pop(key) - 1
        if count:
            self._by_client[key] = count
        if self._shared is not None and key in self._places:
            self._shared.add(self._places[key], -1)
            if not count:
                del self._places[key]

    def clients(self) -> int:
        """Return the number of different clients."""
        return len(self._by_client)
