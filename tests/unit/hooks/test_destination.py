"""Where webhooks may go: addresses, judged one by one."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hooks.destination import Destinations, is_public

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "9.255.255.255", "11.0.0.0", "100.63.255.255",
    "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
    "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "203.0.112.255",
    "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1",
    "::ffff:1.1.1.1", "64:ff9b::8.8.8.8",
]  # fmt: skip

REFUSED = [
    # this host, this network, private networks
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.1.2.3", "127.255.255.255", "10.0.0.1", "10.255.255.255",
    "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255",
    # link-local, with the metadata of clouds
    "169.254.169.254", "169.254.0.1", "169.254.170.2", "168.63.129.16", "100.100.100.200",
    # shared, for documentation, benchmarks, relays, protocols, multicast, reserved, broadcast
    "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
    # the same in IPv6
    "::", "::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00::1",
    "fd00:ec2::254", "fd20:ce::254", "ff02::1", "ff0e::1", "100::1", "2001:db8::1", "3fff::1",
    "5f00::1",
    # IPv4 addresses inside
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:0:7f00:1::",
    # what is no address, or one in a form that resolvers read otherwise
    "", "localhost", "localhost.", "0x7f000001", "2130706433", "127.1", "0177.0.0.1", "127.0.0.01",
    "127.0.0.1.", "①②⑦.⓪.⓪.①", "127。0。0。1", "1.1.1.1/32", "[::1]", "::ffff:7f00:1", "1.1.1.1 ",
    "::ffff:0:127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    """The neighbours of each block that is not, too."""
    assert Destinations().is_allowed(text)


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_of_no_public_network_is_refused(text: str) -> None:
    """However it is written."""
    assert not Destinations().is_allowed(text)


@pytest.mark.parametrize(
    ("network", "text", "is_allowed"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.0/8", "::1", False),
        ("fd00::/8", "fd00::1", True),
        ("fd00::/8", "fc00::1", False),
        ("fe80::/10", "fe80::1", True),
        ("fe80::/10", "fe80::1%lo", False),
        ("10.0.0.0/8", "1.1.1.1", True),
        ("10.0.0.0/8", "2130706433", False),
    ],
)
def test_the_operator_may_list_private_networks(network: str, text: str, is_allowed: bool) -> None:
    """That network is allowed beside the public ones, and no other."""
    assert is_allowed is Destinations([ip_network(network)]).is_allowed(text)


@given(st.ip_addresses())
def test_no_address_is_more_public_than_python_says(address: IPv4Address | IPv6Address) -> None:
    """Its list of special networks is another's work: what it calls private is never allowed."""
    if address.is_private or address.is_multicast or address.is_loopback or address.is_link_local:
        assert not is_public(address)


@pytest.mark.parametrize(("text", "is_so"), [("::ffff:1.1.1.1", True), ("::ffff:10.0.0.1", False)])
def test_an_ipv4_address_in_ipv6_is_as_public_as_itself(text: str, is_so: bool) -> None:
    """For every program that asks, in every form."""
    assert is_so is is_public(IPv6Address(text))
