"""What a balancer says about a connection, and what is not believed."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.downstream.proxy_protocol import MAX_BYTES, ProxyHeader, read

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PORTS = b"\x12\x34\x01\xbb"
V4 = bytes([203, 0, 113, 9, 10, 0, 0, 1]) + PORTS
V6 = IPv6Address("2001:db8::9").packed + IPv6Address("fd00::1").packed + PORTS
MAPPED = IPv6Address("::ffff:203.0.113.9").packed + IPv6Address("fd00::1").packed + PORTS
UNIX = b"/run/app.sock".ljust(108, b"\0") * 2
PROXY, LOCAL = 0x21, 0x20


def v2(command: int, family: int, body: bytes, *tlvs: bytes) -> bytes:
    """A header of version 2."""
    whole = body + b"".join(tlvs)
    return SIGNATURE + bytes([command, family]) + len(whole).to_bytes(2) + whole


def tlv(kind: int, value: bytes) -> bytes:
    """One extension."""
    return bytes([kind]) + len(value).to_bytes(2) + value


TLS = tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3"))
NO_TLS = tlv(0x20, b"\x00\0\0\0\0")
AUTHORITY = tlv(0x02, b"app.example.com")


@pytest.mark.parametrize(
    ("header", "source", "is_tls"),
    [
        pytest.param(b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 443\r\n", "203.0.113.9", False, id="1"),
        pytest.param(b"PROXY TCP4 1.2.3.4 10.0.0.1 0 65535\r\n", "1.2.3.4", False, id="1-ports"),
        pytest.param(b"PROXY TCP6 2001:db8::9 fd00::1 1 2\r\n", "2001:db8::9", False, id="1-six"),
        pytest.param(b"PROXY TCP6 2001:DB8::9 ::1 1 2\r\n", "2001:db8::9", False, id="1-capitals"),
        pytest.param(b"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n", "1.2.3.4", False, id="1-mapped"),
        pytest.param(b"PROXY UNKNOWN\r\n", None, False, id="1-unknown"),
        pytest.param(b"PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n", None, False, id="1-unknown-says"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None, False, id="1-longest"),
        pytest.param(v2(PROXY, 0x11, V4), "203.0.113.9", False, id="2"),
        pytest.param(v2(PROXY, 0x21, V6), "2001:db8::9", False, id="2-six"),
        pytest.param(v2(PROXY, 0x21, MAPPED), "203.0.113.9", False, id="2-mapped"),
        pytest.param(v2(PROXY, 0x31, UNIX), None, False, id="2-unix"),
        pytest.param(v2(PROXY, 0x00, b""), None, False, id="2-unspecified"),
        pytest.param(v2(LOCAL, 0x00, b""), None, False, id="2-local"),
        pytest.param(v2(LOCAL, 0x11, V4), None, False, id="2-local-with-addresses"),
        pytest.param(v2(LOCAL, 0xFF, b"junk"), None, False, id="2-local-with-junk"),
        pytest.param(v2(PROXY, 0x11, V4, AUTHORITY), "203.0.113.9", False, id="2-tlv-skipped"),
        pytest.param(v2(PROXY, 0x11, V4, AUTHORITY, TLS), "203.0.113.9", True, id="2-over-tls"),
        pytest.param(v2(PROXY, 0x11, V4, NO_TLS), "203.0.113.9", False, id="2-not-over-tls"),
        pytest.param(v2(PROXY, 0x11, V4, tlv(4, b"")), "203.0.113.9", False, id="2-empty-tlv"),
        pytest.param(
            v2(PROXY, 0x11, V4, tlv(4, b"\0" * (4096 - 15))), "203.0.113.9", False, id="2-longest"
        ),
    ],
)
def test_a_header_names_the_client(header: bytes, source: str | None, is_tls: bool) -> None:
    """Both versions are read to their end and not a byte further, however they arrive."""
    expected = ProxyHeader(ip_address(source) if source else None, is_tls, len(header))
    assert expected == read(header)
    assert expected == read(header + b"GET / HTTP/1.1\r\n")
    assert expected == read(header + b"\r\n\r\n")
    assert {None} == {read(header[:size]) for size in range(len(header))}
    assert len(header) <= MAX_BYTES


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="a-request"),
        pytest.param(b"\x16\x03\x01\x02\x00", id="a-client-hello"),
        pytest.param(b"P0", id="not-even-the-word"),
        pytest.param(b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", id="1-lower-case"),
        pytest.param(b"PROXY\r\n", id="1-nothing"),
        pytest.param(b"PROXY \r\n", id="1-no-family"),
        pytest.param(b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", id="1-family"),
        pytest.param(b"PROXY UNKNOWNS\r\n", id="1-unknown-and-more"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", id="1-too-long"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 200, id="1-endless"),
        pytest.param(b"PROXY UNKNOWN a\nb\r\n", id="1-bare-line-feed"),
        pytest.param(b"PROXY UNKNOWN a\rb\r\n", id="1-bare-carriage-return"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", id="1-one-port"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", id="1-three-ports"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", id="1-port-too-high"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", id="1-port-with-zero"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", id="1-negative-port"),
        pytest.param(b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", id="1-two-spaces"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", id="1-space-at-the-end"),
        pytest.param(b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", id="1-space-at-the-start"),
        pytest.param(b"PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", id="1-tab"),
        pytest.param(b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", id="1-short-address"),
        pytest.param(b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", id="1-no-address"),
        pytest.param(b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", id="1-octal"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.256 1 2\r\n", id="1-no-target"),
        pytest.param(b"PROXY TCP4 ::1 ::2 1 2\r\n", id="1-six-as-four"),
        pytest.param(b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", id="1-four-as-six"),
        pytest.param(b"PROXY TCP6 fe80::1%1 ::2 1 2\r\n", id="1-zone"),
        pytest.param(b"PROXY TCP6 [::1] ::2 1 2\r\n", id="1-brackets"),
        pytest.param(b"PROXY TCP6 ::1::2 ::2 1 2\r\n", id="1-no-six"),
        pytest.param(b"PROXY TCP4 0.0.0.0 5.6.7.8 1 2\r\n", id="1-unspecified"),
        pytest.param(b"PROXY TCP6 :: ::2 1 2\r\n", id="1-unspecified-v6"),
        pytest.param(b"PROXY TCP6 ::ffff:0.0.0.0 ::2 1 2\r\n", id="1-unspecified-mapped"),
        pytest.param(v2(PROXY, 0x11, bytes(4) + V4[4:]), id="2-unspecified"),
        pytest.param(v2(PROXY, 0x21, bytes(16) + V6[16:]), id="2-unspecified-v6"),
        pytest.param(SIGNATURE[:-1] + b"X", id="2-signature"),
        pytest.param(v2(0x11, 0x11, V4), id="2-version-1"),
        pytest.param(v2(0x31, 0x11, V4), id="2-version-3"),
        pytest.param(v2(0x22, 0x11, V4), id="2-command"),
        pytest.param(v2(PROXY, 0x12, V4), id="2-datagrams"),
        pytest.param(v2(PROXY, 0x41, V4), id="2-family"),
        pytest.param(v2(PROXY, 0x10, V4), id="2-no-transport"),
        pytest.param(v2(PROXY, 0x11, V4[:-1]), id="2-short-four"),
        pytest.param(v2(PROXY, 0x21, V4), id="2-short-six"),
        pytest.param(v2(PROXY, 0x31, UNIX[:-1]), id="2-short-unix"),
        pytest.param(v2(PROXY, 0x11, V4, b"\x04\x00"), id="2-tlv-without-length"),
        pytest.param(v2(PROXY, 0x11, V4, b"\x04\x00\x02x"), id="2-tlv-beyond-the-end"),
        pytest.param(v2(PROXY, 0x11, V4, tlv(0x20, b"\x01\0\0\0")), id="2-tlv-of-tls-too-short"),
        pytest.param(v2(PROXY, 0x00, b"x"), id="2-unspecified-with-junk"),
        pytest.param(SIGNATURE + bytes([PROXY, 0x11]) + b"\xff\xff", id="2-too-long-is-seen-early"),
    ],
)
def test_what_breaks_the_format_is_refused(data: bytes) -> None:
    """A header that another parser could read differently is refused."""
    with pytest.raises(ValueError, match=r"."):
        read(data)


SPECIFIED_ADDRESS = st.ip_addresses(v=4).filter(lambda address: not address.is_unspecified)


@given(SPECIFIED_ADDRESS, st.ip_addresses(v=4), st.integers(0, 65535), st.binary(max_size=40))
def test_both_versions_say_the_same(
    source: IPv4Address, target: IPv4Address, port: int, rest: bytes
) -> None:
    """What version 1 spells is what version 2 packs."""
    ports = port.to_bytes(2) * 2
    text = read(f"PROXY TCP4 {source} {target} {port} {port}\r\n".encode() + rest)
    binary = read(v2(PROXY, 0x11, source.packed + target.packed + ports) + rest)
    assert text is not None
    assert binary is not None
    assert source == text.source == binary.source


@given(
    st.binary(max_size=120)
    | st.binary(max_size=300).map(lambda rest: SIGNATURE + rest)
    | st.binary(max_size=150).map(lambda rest: b"PROXY TCP4 " + rest)
    | st.binary(max_size=100).map(lambda rest: v2(PROXY, 0x11, V4, rest))
)
def test_nothing_else_comes_of_any_bytes(data: bytes) -> None:
    """Any bytes are refused, incomplete, or a header within them."""
    try:
        header = read(data)
    except ValueError:
        return
    assert header is None or 0 < header.size_bytes <= len(data)
    assert header is not None or len(data) < MAX_BYTES
