"""How many connections there are, in all and of each client."""

from collections import Counter
from collections.abc import Sequence

from gateway.core.address import IPNetwork
from gateway.core.request import Client
from gateway.routing.client_address import is_trusted


class ConnectionCounter:
    """Counts who is there."""

    def __init__(self) -> None:
        self._by_client: Counter[str] = Counter()

    def enter(self, peer: Client, most_per_client: int, exempt: Sequence[IPNetwork]) -> bool:
        """
        Count one more; whether its client may have it.

        Proxies of ours are exempt: behind one address of theirs there are many clients.
        """
        count = self._by_client[peer.limit_key] + 1
        self._by_client[peer.limit_key] = count
        return count <= most_per_client or is_trusted(peer.address, exempt)

    def leave(self, peer: Client) -> None:
        """Count one less; of those that are gone nothing is kept."""
        self._by_client[peer.limit_key] -= 1
        if not self._by_client[peer.limit_key]:
            del self._by_client[peer.limit_key]

    def clients(self) -> int:
        """How many different ones there are."""
        return len(self._by_client)
