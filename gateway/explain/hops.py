"""The hops of a request, taken down while the client's address is looked for."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from gateway.core.address import IPAddress, IPNetwork
from gateway.routing.client_address import UNIX, UNIX_PEER


class Hop(NamedTuple):
    """An address that was asked about, and the trusted network that has it."""

    address: IPAddress
    network: IPNetwork | None
    """None where no trusted network has it: the hop is not believed."""

    @property
    def text(self) -> str:
        """Return the address as logs show it."""
        return UNIX if self.address == UNIX_PEER else str(self.address)


class HopRecorder:
    """
    Stands for all trusted networks, and takes down which addresses are looked up among them.

    The walk over the hops asks of each whether it is trusted: the answers are the walk.
    """

    def __init__(self, trusted: Sequence[IPNetwork]) -> None:
        self._trusted = tuple(trusted)
        self.hops: list[Hop] = []

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        network = next((network for network in self._trusted if address in network), None)
        hop = Hop(address, network)
        if hop not in self.hops:
            self.hops.append(hop)
        return network is not None
