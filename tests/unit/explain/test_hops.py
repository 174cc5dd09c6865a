"""Hops that are taken down while the walk over them runs."""

from ipaddress import ip_address, ip_network

from gateway.core.address import IPNetwork
from gateway.explain.hops import HopRecorder
from gateway.routing.client_address import UNIX_PEER, client_address

OURS = (ip_network("10.0.0.0/8"), ip_network("::/128"))


def walked(peer: str, *lines: str) -> tuple[str, list[tuple[str, str | None]]]:
    """The client by the walk of live requests, and the hops that were asked about."""
    recorder = HopRecorder(OURS)
    networks: tuple[IPNetwork, ...] = (recorder,)  # type: ignore[assignment] # asked as one is
    client = client_address(ip_address(peer), lines, networks)
    hops = [(hop.text, str(hop.network) if hop.network else None) for hop in recorder.hops]
    return str(client), hops


def test_the_hops_are_those_of_the_walk() -> None:
    """It ends at the first that no trusted network has."""
    assert ("198.51.100.1", [("10.0.0.1", "10.0.0.0/8"), ("198.51.100.1", None)]) == walked(
        "10.0.0.1", "1.1.1.1, 198.51.100.1"
    )
    assert ("203.0.113.9", [("203.0.113.9", None)]) == walked("203.0.113.9", "1.1.1.1")


def test_a_hop_is_noted_once_and_a_unix_socket_by_its_name() -> None:
    """Stages may ask again."""
    recorder = HopRecorder(OURS)
    assert UNIX_PEER in recorder
    assert UNIX_PEER in recorder
    assert ["unix:"] == [hop.text for hop in recorder.hops]
