"""Entries of deny and allow lists."""

import pytest

from gateway.ratelimit.entry import Entry, NetworkPrefix, read_entry

DID = "did:ethr:0x3f5CE5FBFe3E9af3971dD833D26bA9b5C936f0bE"
V6 = 0x20010DB8 << 96


def network(text: str, version: int, host_bits: int, number: int) -> Entry:
    """Return an entry with the first bits of all its addresses."""
    return Entry(text, NetworkPrefix(version, host_bits, number))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("192.0.2.1", network("192.0.2.1", 4, 0, 0xC0000201), id="ipv4"),
        pytest.param(" 192.0.2.1 ", network("192.0.2.1", 4, 0, 0xC0000201), id="spaces"),
        pytest.param("192.0.2.0/24", network("192.0.2.0/24", 4, 8, 0xC00002), id="network"),
        pytest.param("192.0.2.1/32", network("192.0.2.1", 4, 0, 0xC0000201), id="of-one"),
        pytest.param("2001:DB8::1", network("2001:db8::1", 6, 0, V6 | 1), id="6"),
        pytest.param("2001:db8::/32", network("2001:db8::/32", 6, 96, 0x20010DB8), id="6-net"),
        pytest.param("::ffff:192.0.2.1", network("192.0.2.1", 4, 0, 0xC0000201), id="mapped"),
        pytest.param("::ffff:c000:200/120", network("192.0.2.0/24", 4, 8, 0xC00002), id="m"),
        pytest.param("Ada@Example.com", Entry("ada@example.com"), id="email"),
        pytest.param("*@Example.com", Entry("*@example.com"), id="domain"),
        pytest.param(DID.lower(), Entry(DID), id="issuer"),
        pytest.param("service:robot", Entry("service:robot"), id="program"),
        pytest.param("https://idp.example#7", Entry("https://idp.example#7"), id="of-a-jwt"),
    ],
)  # fmt: skip
def test_an_entry_has_one_spelling(text: str, expected: Entry) -> None:
    """However it is written, it is stored, shown and removed by the same text."""
    assert expected == read_entry(text)
    assert expected == read_entry(expected.text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected an address"),
        ("ada", "expected an address"),
        ("192.0.2", "expected an address, or a network"),
        ("192.0.2.1/24", "bits set beyond its prefix"),
        ("192.0.2.0/33", "expected an address, or a network"),
        ("0.0.0.0/0", "matches all clients"),
        ("::/0", "matches all clients"),
        ("0.0.0.0", "no client's"),
        ("::", "no client's"),
        ("fe80::1%eth0", "expected an address"),
        ("*@", r"\*@ and a domain"),
        ("*@*.example.com", r"\*@ and a domain"),
        (DID.swapcase().replace("DID:ETHR:0X", "did:ethr:0x"), "checksum"),
    ],
)
def test_what_is_no_entry(text: str, expected: str) -> None:
    """The message says what was expected, and never shows the text, which may be a secret."""
    with pytest.raises(ValueError, match=expected) as error:
        read_entry(text)
    assert len(text) < 5 or text not in str(error.value)
