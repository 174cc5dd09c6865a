"""
Limit on wrong tokens, by the address that they come from.

The right token is accepted all the same: clients behind one proxy have one address, and one of them
must not lock the others out. The limit tells a client that sends a wrong token to stop; it does not
make guessing harder. What does is the length of the token: 32 bytes at least.
"""

import math
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from gateway.util.lru import LruCache

MAX_WRONG: Final = 10
WINDOW_S: Final = 60.0

_MAX_PEERS: Final = 4096


class _WrongTokens(NamedTuple):
    """The wrong tokens of one address."""

    begins_s: float
    sent: int

    def is_at(self, now_s: float) -> bool:
        """Whether the window is not over; a clock that was set back ends it."""
        return self.begins_s <= now_s < self.begins_s + WINDOW_S


class TokenGuesses:
    """Counts wrong tokens by the address that sent them, an IPv6 network of /64 as one."""

    def __init__(self) -> None:
        self._wrong: LruCache[str, _WrongTokens] = LruCache(_MAX_PEERS)

    def __len__(self) -> int:
        return len(self._wrong)

    def wait_s(self, peer: str, now_s: float) -> int:
        """Return how long ``peer`` has to wait after too many wrong tokens; 0 where it need not."""
        found = self._wrong.get(network_of(peer))
        if found is None or found.sent < MAX_WRONG or not found.is_at(now_s):
            return 0
        return math.ceil(found.begins_s + WINDOW_S - now_s)

    def note_wrong(self, peer: str, now_s: float) -> None:
        """Count one more."""
        name = network_of(peer)
        found = self._wrong.get(name)
        if found is None or not found.is_at(now_s):
            found = _WrongTokens(now_s, 0)
        self._wrong.put(name, found._replace(sent=found.sent + 1))


def network_of(peer: str) -> str:
    """Return what counts as one address: an IPv6 network of /64, else ``peer`` itself."""
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return address.exploded[:19]
    return str(address)
