"""The client's address, whatever the client forges."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.request import Client
from gateway.routing.client_address import (
    UNIX_PEER,
    UNIX_PEERS,
    client_address,
    client_at,
    fold,
    forwarded_client,
    is_trusted,
    parse_address,
    plain_client,
)

OURS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY, CLIENT = "10.0.0.1", "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        pytest.param(CLIENT, [], CLIENT, id="direct"),
        pytest.param(CLIENT, ["1.1.1.1"], CLIENT, id="direct-and-lying"),
        pytest.param(CLIENT, ["10.0.0.7"], CLIENT, id="direct-and-posing-as-our-proxy"),
        pytest.param(PROXY, [], PROXY, id="our-proxy-says-nothing"),
        pytest.param(PROXY, [CLIENT], CLIENT, id="behind-our-proxy"),
        pytest.param(PROXY, [f"1.1.1.1, {CLIENT}"], CLIENT, id="spoofed-on-the-left"),
        pytest.param(PROXY, [f"10.0.0.7, {CLIENT}"], CLIENT, id="spoofed-as-our-own-on-the-left"),
        pytest.param(PROXY, ["1.1.1.1", CLIENT], CLIENT, id="spoofed-in-a-field-before"),
        pytest.param(PROXY, [CLIENT, "10.0.0.2"], CLIENT, id="repeated-fields-are-one-list"),
        pytest.param(PROXY, [f"{CLIENT}, 10.0.0.2"], CLIENT, id="two-proxies-of-ours"),
        pytest.param(
            PROXY, [f"1.1.1.1, {CLIENT}, 10.0.0.3", "10.0.0.2"], CLIENT, id="three-proxies-of-ours"
        ),
        pytest.param(PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3", id="all-are-ours"),
        pytest.param(
            PROXY, [f"{CLIENT}, 198.51.100.1"], "198.51.100.1", id="behind-a-proxy-not-ours"
        ),
        pytest.param(PROXY, [f"{CLIENT}, junk"], PROXY, id="unreadable-hop"),
        pytest.param(PROXY, [f"{CLIENT}, junk, 10.0.0.2"], "10.0.0.2", id="unreadable-further-out"),
        pytest.param(PROXY, [f"junk, {CLIENT}"], CLIENT, id="unreadable-beyond-the-client"),
        pytest.param(PROXY, [f"{CLIENT},"], PROXY, id="an-empty-hop-ends-the-walk"),
        pytest.param(PROXY, [f"{CLIENT}, , 10.0.0.2"], "10.0.0.2", id="an-empty-hop-in-between"),
        pytest.param(PROXY, [""], PROXY, id="an-empty-field"),
        pytest.param(PROXY, ["unknown"], PROXY, id="a-proxy-that-does-not-know"),
        pytest.param(PROXY, ["999.1.1.1"], PROXY, id="no-address"),
        pytest.param(PROXY, ["010.0.0.5"], PROXY, id="octal-is-no-address"),
        pytest.param(PROXY, ["１.1.1.1"], PROXY, id="digits-that-are-not-ascii"),
        pytest.param(PROXY, [f"  {CLIENT}\t"], CLIENT, id="space-around"),
        pytest.param(PROXY, [f"{CLIENT}:4711"], CLIENT, id="with-a-port"),
        pytest.param(PROXY, ["2001:db8::9"], "2001:db8::9", id="ipv6"),
        pytest.param(PROXY, ["[2001:db8::9]"], "2001:db8::9", id="ipv6-in-brackets"),
        pytest.param(PROXY, ["[2001:db8::9]:4711"], "2001:db8::9", id="ipv6-with-a-port"),
        pytest.param(PROXY, ["2001:DB8:0:0::9"], "2001:db8::9", id="ipv6-spelled-otherwise"),
        pytest.param(PROXY, ["fe80::9%eth0"], "fe80::9", id="ipv6-with-a-zone"),
        pytest.param(PROXY, [f"::ffff:{CLIENT}"], CLIENT, id="ipv4-mapped-is-ipv4"),
        pytest.param(PROXY, [f"[::ffff:{CLIENT}]:4711"], CLIENT, id="ipv4-mapped-with-a-port"),
        pytest.param(PROXY, [f"{CLIENT}, ::ffff:10.0.0.2"], CLIENT, id="ipv4-mapped-proxy-of-ours"),
        pytest.param("fd00::1", [CLIENT], CLIENT, id="our-proxy-speaks-ipv6"),
        pytest.param("fd00::1", [f"{CLIENT}, 10.0.0.2"], CLIENT, id="our-proxies-speak-both"),
        pytest.param(PROXY, [f"{CLIENT}, ::"], PROXY, id="the-unspecified-address"),
        pytest.param(PROXY, [f"{CLIENT}, 0.0.0.0"], PROXY, id="nor-that-of-ipv4"),
        pytest.param(PROXY, [f"{CLIENT}, unix:"], PROXY, id="a-proxy-on-a-unix-socket"),
        pytest.param(PROXY, ["'10.0.0.2'; drop table"], PROXY, id="not-even-trying"),
    ],
)
def test_client_address(peer: str, forwarded_for: list[str], expected: str) -> None:
    """The client is the first hop, from the socket outwards, that is no trusted proxy."""
    assert ip_address(expected) == client_address(ip_address(peer), forwarded_for, OURS)


_ADDRESSES = st.ip_addresses().map(str)


@given(st.lists(st.text() | _ADDRESSES))
def test_without_trusted_proxies_the_client_is_the_peer(forwarded_for: list[str]) -> None:
    """Forwarding fields are ignored then."""
    assert ip_address(CLIENT) == client_address(ip_address(CLIENT), forwarded_for, ())


@given(st.lists(st.text(st.characters(exclude_characters=",")) | _ADDRESSES))
def test_x_forwarded_for_cannot_be_spoofed(lies: list[str]) -> None:
    """The proxy appends the peer it saw; all that the client wrote is to the left of that."""
    told = [", ".join([*lies, CLIENT])]
    assert ip_address(CLIENT) == client_address(ip_address(PROXY), told, OURS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="ipv4"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="ipv4-mapped"),
        pytest.param("::ffff:c000:201", "192.0.2.1", id="ipv4-mapped-in-hex"),
        pytest.param("2001:db8::1", "2001:db8::1", id="ipv6"),
        pytest.param("fe80::1%1", "fe80::1", id="the-zone-is-left-out"),
        pytest.param("fe80::1%eth0", "fe80::1", id="the-zone-is-left-out-by-name"),
    ],
)
def test_an_address_has_one_form(text: str, expected: str) -> None:
    """IPv4-mapped IPv6 becomes IPv4, and zones are dropped."""
    assert expected == str(fold(ip_address(text))) == str(parse_address(text))


@pytest.mark.parametrize("text", ["", "[", "[]", "[]:1", ":1", "a", "1.2.3", "1:2:3", "1.2.3.4.5"])
def test_malformed_addresses_are_refused(text: str) -> None:
    """Only whole addresses are read."""
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    """No text in a field raises another error."""
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert address == parse_address(str(address))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("10.255.255.255", True, id="in-one-of-them"),
        pytest.param("fd12::1", True, id="in-another"),
        pytest.param("11.0.0.0", False, id="in-none"),
        pytest.param("::a00:1", False, id="the-other-family"),
    ],
)
def test_trusted_networks(address: str, expected: bool) -> None:
    """An address is trusted if one of the configured networks holds it."""
    assert expected is is_trusted(ip_address(address), OURS)


@pytest.mark.parametrize(
    ("address", "limit_key"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="ipv4-whole"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="ipv6-by-its-64"),
        pytest.param("2001:db8:1:2:ffff::", "2001:db8:1:2::/64", id="its-neighbour-in-the-64"),
        pytest.param("2001:db8:1:3::1", "2001:db8:1:3::/64", id="the-next-64"),
        pytest.param("::1", "::/64", id="loopback"),
    ],
)
def test_an_ipv6_network_has_one_limit(address: str, limit_key: str) -> None:
    """IPv4 is counted by address, IPv6 by the /64 that one customer gets."""
    expected = Client(ip_address(address), address, limit_key)
    assert expected == client_at(ip_address(address))


_SPELLINGS = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
    st.ip_addresses(v=6).map(lambda address: f"::ffff:{IPv4Address(int(address) & 0xFFFFFFFF)}"),
    st.text("0123456789abcdefABCDEFx:.%[]/ \t\x00-", max_size=45),
    st.lists(st.sampled_from(["0", "00", "1", "255", "256", "ffff", "10000"]), max_size=9).flatmap(
        lambda groups: st.sampled_from([".", ":", "::"]).map(lambda sign: sign.join(groups))
    ),
)


@settings(max_examples=500)
@given(
    _SPELLINGS, st.sampled_from(["{}", "{} ", " {}", "0{}", "{}:1", "{},1.2.3.4", "{}\n{}", "{}ä"])
)
def test_a_plain_address_is_read_as_any_other_is(spelling: str, around: str) -> None:
    """Each text that is read is the same client by the long way, and written as it was sent."""
    text = around.format(spelling, spelling)
    client = plain_client(text)
    if client is not None:
        assert client_at(client_address(IPv4Address("10.0.0.1"), [text], OURS)) == client
        assert client_at(parse_address(text)) == client
        assert type(client) is Client


@given(st.ip_addresses(v=4))
def test_each_ipv4_address_is_plain(address: IPv4Address) -> None:
    """Except for the unspecified one, which is no client's."""
    assert (client_at(address) if int(address) else None) == plain_client(str(address))


@settings(max_examples=500)
@given(_SPELLINGS, st.sampled_from(["{}", "{}%eth0", "0{}", "{} ", "{}:0", "{}.1", "::{}", "{}::"]))
def test_the_library_for_addresses_says_what_is_one(spelling: str, around: str) -> None:
    """`ip_address` reads each text that is read, as the same address, and no other."""
    text = around.format(spelling).replace("[", "")
    if text.count(":") == 1:
        return  # a port
    try:
        expected = fold(ip_address(text.strip(" \t")))
    except ValueError:
        expected = UNIX_PEER
    if not int(expected):
        with pytest.raises(ValueError, match=r"address|[Oo]ctet"):
            parse_address(text)
    else:
        assert expected == parse_address(text)


@given(st.ip_addresses(v=6), st.integers(0, 0xFFFF_FFFF_FFFF_FFFF))
def test_an_ipv6_network_is_written_as_the_library_writes_it(
    address: IPv6Address, zeros: int
) -> None:
    """The longest run of zeros is the one at its end, whatever groups are zero before it."""
    masked = IPv6Address(int(address) & ~(zeros << 64) | 1)
    network = IPv6Address(int(masked) >> 64 << 64)
    assert (str(masked), f"{network}/64") == client_at(masked)[1:3]


# --- unix sockets ------------------------------------------------------------------------------


def test_a_proxy_on_a_unix_socket_can_be_trusted() -> None:
    """It has no address; ``unix:`` among the trusted proxies means it alone."""
    assert ip_address(CLIENT) == client_address(UNIX_PEER, [CLIENT], (UNIX_PEERS,))
    assert UNIX_PEER == client_address(UNIX_PEER, [CLIENT], OURS)
    assert ip_address(PROXY) == client_address(ip_address(PROXY), [CLIENT], (UNIX_PEERS,))


def test_all_clients_of_a_unix_socket_share_a_limit() -> None:
    """They cannot be told apart."""
    assert Client(UNIX_PEER, "unix:", "unix:") == client_at(UNIX_PEER)


# --- Forwarded ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "lines", "expected", "scheme"),
    [
        pytest.param(CLIENT, ["for=1.1.1.1;proto=http"], CLIENT, "", id="direct-and-lying"),
        pytest.param(PROXY, [], PROXY, "", id="our-proxy-says-nothing"),
        pytest.param(PROXY, [f"for={CLIENT}"], CLIENT, "", id="behind-our-proxy"),
        pytest.param(PROXY, [f"for={CLIENT};proto=https"], CLIENT, "https", id="over-tls"),
        pytest.param(PROXY, [f"proto=http;for={CLIENT}"], CLIENT, "http", id="in-any-order"),
        pytest.param(PROXY, [f"For={CLIENT};PROTO=HTTPS"], CLIENT, "https", id="in-any-case"),
        pytest.param(PROXY, [f'for="{CLIENT}";proto="https"'], CLIENT, "https", id="quoted"),
        pytest.param(PROXY, [r'for="203.0\.113.9"'], CLIENT, "", id="quoted-pair"),
        pytest.param(PROXY, [f"for={CLIENT};proto=ftp"], CLIENT, "", id="another-scheme"),
        pytest.param(PROXY, [f"for={CLIENT};by=10.0.0.1;host=a"], CLIENT, "", id="other-words"),
        pytest.param(PROXY, [f"for={CLIENT};secret=x,"], PROXY, "", id="an-empty-element"),
        pytest.param(PROXY, [f"for=1.1.1.1, for={CLIENT}"], CLIENT, "", id="spoofed-on-the-left"),
        pytest.param(PROXY, ["for=1.1.1.1", f"for={CLIENT}"], CLIENT, "", id="in-a-field-before"),
        pytest.param(
            PROXY,
            [f"for={CLIENT};proto=https, for=10.0.0.2;proto=http"],
            CLIENT,
            "https",
            id="two-proxies-of-ours",
        ),
        pytest.param(
            PROXY,
            [f"for={CLIENT};proto=https", "for=10.0.0.2"],
            CLIENT,
            "https",
            id="two-of-ours-in-two-fields",
        ),
        pytest.param(
            PROXY,
            [f"for={CLIENT}, for=198.51.100.1;proto=https"],
            "198.51.100.1",
            "https",
            id="behind-a-proxy-not-ours",
        ),
        pytest.param(PROXY, [f'for="{CLIENT}:4711"'], CLIENT, "", id="with-a-port"),
        pytest.param(PROXY, [f'for="{CLIENT}:_p.1"'], CLIENT, "", id="with-a-hidden-port"),
        pytest.param(PROXY, ['for="[2001:db8::9]"'], "2001:db8::9", "", id="ipv6"),
        pytest.param(PROXY, ['for="[2001:DB8::9]:4711"'], "2001:db8::9", "", id="ipv6-and-port"),
        pytest.param(PROXY, [f'for="[::ffff:{CLIENT}]"'], CLIENT, "", id="ipv4-mapped"),
        # what ends the walk
        pytest.param(PROXY, ["for=unknown;proto=https"], PROXY, "https", id="unknown"),
        pytest.param(PROXY, ["for=_hidden"], PROXY, "", id="obfuscated"),
        pytest.param(PROXY, [f"for={CLIENT}, for=_hidden"], PROXY, "", id="obfuscated-hop"),
        pytest.param(PROXY, [f"for={CLIENT}, proto=https"], PROXY, "https", id="no-for"),
        pytest.param(PROXY, ["for=2001:db8::9"], PROXY, "", id="ipv6-unquoted"),
        pytest.param(PROXY, ['for="2001:db8::9"'], PROXY, "", id="ipv6-without-brackets"),
        pytest.param(PROXY, ["for=[2001:db8::9]"], PROXY, "", id="brackets-unquoted"),
        pytest.param(PROXY, [f'for="[{CLIENT}]"'], PROXY, "", id="ipv4-in-brackets"),
        pytest.param(PROXY, ['for="[fe80::1%1]"'], PROXY, "", id="a-zone"),
        pytest.param(PROXY, [f"for={CLIENT}:4711"], PROXY, "", id="a-port-unquoted"),
        pytest.param(PROXY, [f'for="{CLIENT}:123456"'], PROXY, "", id="a-port-too-long"),
        pytest.param(PROXY, ["for=010.0.0.5"], PROXY, "", id="octal"),
        pytest.param(PROXY, ['for="[::]"'], PROXY, "", id="unspecified"),
        pytest.param(PROXY, [f"for={CLIENT};for=1.1.1.1"], PROXY, "", id="said-twice"),
        pytest.param(PROXY, ["for=1;for=1"], PROXY, "", id="the-same-said-twice"),
        pytest.param(PROXY, [f"for={CLIENT};proto=http;Proto=https"], PROXY, "", id="twice"),
        pytest.param(PROXY, [f"for={CLIENT}; proto=https"], PROXY, "", id="a-space-inside"),
        pytest.param(PROXY, [f"for = {CLIENT}"], PROXY, "", id="spaces-at-the-equals-sign"),
        pytest.param(PROXY, [f"for={CLIENT};"], PROXY, "", id="a-semicolon-too-many"),
        pytest.param(PROXY, [f'for="{CLIENT}'], PROXY, "", id="a-quote-left-open"),
        pytest.param(PROXY, [f'for="{CLIENT}"x'], PROXY, "", id="more-behind-the-quote"),
        pytest.param(PROXY, [f'for="{CLIENT}\\'], PROXY, "", id="an-escape-left-open"),
        pytest.param(PROXY, [""], PROXY, "", id="an-empty-field"),
        # what a client does to what our proxy appends
        pytest.param(PROXY, [f'for="1.1.1.1, for={CLIENT}'], CLIENT, "", id="open-quote-before"),
        pytest.param(
            PROXY,
            [f'x="a;for=6.6.6.6, for={CLIENT};host="b;for=6.6.6.6"'],
            CLIENT,
            "",
            id="open-quote-and-a-host",
        ),
        pytest.param(
            PROXY, [f'for={CLIENT};host="x, for=6.6.6.6"'], CLIENT, "", id="a-comma-in-the-host"
        ),
        pytest.param(
            PROXY,
            [rf'for={CLIENT};host="x, for=6.6.6.6;y=\""'],
            CLIENT,
            "",
            id="a-comma-and-a-quote-in-the-host",
        ),
        pytest.param(PROXY, [f'for={CLIENT};host="{"," * 8}"'], PROXY, "", id="commas-without-end"),
    ],
)
def test_forwarded_client(peer: str, lines: list[str], expected: str, scheme: str) -> None:
    """As with X-Forwarded-For, it is the first hop that is no trusted proxy; so is its scheme."""
    assert (ip_address(expected), scheme) == forwarded_client(ip_address(peer), lines, OURS)


@given(st.lists(st.text() | _ADDRESSES.map('for="{}"'.format)))
def test_forwarded_cannot_be_spoofed(lies: list[str]) -> None:
    """Whether the proxy appends to the last line, or writes a new one."""
    ours = f'for={CLIENT};host="a.b";proto=https'
    for lines in ([", ".join([*lies, ours])], [*lies, ours]):
        assert (ip_address(CLIENT), "https") == forwarded_client(ip_address(PROXY), lines, OURS)


_PARTS = st.sampled_from(
    ["for=", "proto=https", '"', "\\", ",", ";", "=", "1.2.3.4", "10.0.0.2", "[::1]", "_x", " "]
)


@given(st.lists(_PARTS, max_size=30).map("".join))
def test_malformed_forwarded_is_read_in_linear_time(line: str) -> None:
    """The result is the peer's address, or one that is written in the field."""
    address, scheme = forwarded_client(ip_address(PROXY), [line], OURS)
    assert address == ip_address(PROXY) or str(address).split(":")[-1] in line
    assert scheme in {"", "https"}
