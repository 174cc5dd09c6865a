"""How many connections a client may have."""

from ipaddress import ip_address, ip_network

from gateway.proxy.downstream.limits import ConnectionCounter
from gateway.routing.client_address import UNIX_PEER, UNIX_PEERS, client_at

CLIENT, OTHER = client_at(ip_address("203.0.113.9")), client_at(ip_address("203.0.113.10"))
PROXY = client_at(ip_address("10.0.0.1"))
SIX, NEIGHBOUR = client_at(ip_address("2001:db8::1")), client_at(ip_address("2001:db8::2"))
OURS = (ip_network("10.0.0.0/8"),)


def test_a_client_has_so_many_and_no_more() -> None:
    """One too many is refused, until one is gone; another client is another matter."""
    house = ConnectionCounter()
    assert [True, True, False] == [house.acquire(CLIENT, 2, OURS) for _ in range(3)]
    assert house.acquire(OTHER, 2, OURS)
    house.release(CLIENT)
    assert house.acquire(CLIENT, 2, OURS)
    assert not house.acquire(CLIENT, 2, OURS)


def test_proxies_of_ours_are_exempt() -> None:
    """Many clients share their address."""
    house = ConnectionCounter()
    assert all(house.acquire(PROXY, 2, OURS) for _ in range(5))
    assert all(house.acquire(client_at(UNIX_PEER), 2, (UNIX_PEERS,)) for _ in range(5))


def test_a_household_is_one_client() -> None:
    """Of IPv6 addresses, those of one /64 are counted together."""
    house = ConnectionCounter()
    assert [True, False] == [house.acquire(SIX, 1, ()), house.acquire(NEIGHBOUR, 1, ())]


def test_who_is_gone_is_forgotten() -> None:
    """Addresses that come and go do not fill the memory."""
    house = ConnectionCounter()
    house.acquire(CLIENT, 2, ())
    house.acquire(CLIENT, 2, ())
    house.release(CLIENT)
    assert 1 == house.clients()
    house.release(CLIENT)
    assert 0 == house.clients()
