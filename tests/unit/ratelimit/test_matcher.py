"""Matching of callers against entries."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identity import User
from gateway.ratelimit.entry import read_entry
from gateway.ratelimit.matcher import Matcher

DID = "did:ethr:0x3f5CE5FBFe3E9af3971dD833D26bA9b5C936f0bE"


def matcher(*texts: str) -> Matcher:
    """Return a matcher of these entries."""
    return Matcher(map(read_entry, texts))


@pytest.mark.parametrize(
    ("entry", "address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::", False),
        ("2001:db8::1", "2001:db8::1", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("::c000:201", "192.0.2.1", False),
        ("0.0.0.0/8", "::", False),
        ("ada@example.com", "192.0.2.1", False),
    ],
)
def test_addresses(entry: str, address: str, expected: bool) -> None:
    """An address matches itself and the networks it lies in, of its own version."""
    assert expected is matcher(entry).has_address(ip_address(address))


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)), max_size=20),
    st.integers(1, 2**32 - 1),
)
def test_networks_match_as_the_standard_library_says(
    networks: list[tuple[int, int]], number: int
) -> None:
    """However many lengths of networks a list has."""
    wide = [ip_network(each, strict=False) for each in networks]
    wide = [each for each in wide if int(each.network_address) or each.prefixlen < 32]
    address = ip_address(number)
    found = matcher(*map(str, wide)).has_address(address)
    assert any(address in each for each in wide) is found


@pytest.mark.parametrize(
    ("entry", "user", "expected"),
    [
        (DID, User(DID), True),
        (DID, User(DID.lower()), True),
        (DID, User("did:ethr:0x" + "1" * 40), False),
        ("service:robot", User("service:robot"), True),
        ("service:robot", User("service:Robot"), False),
        ("ada@example.com", User("ada@" + "ä" * 80), False),
        ("ada@example.com", User(DID, "Ada@example.com"), True),
        ("ada@example.com", User(DID, "bob@example.com"), False),
        ("ada@example.com", User(DID), False),
        ("*@example.com", User(DID, "bob@example.com"), True),
        ("*@example.com", User(DID, "bob@sub.example.com"), False),
        ("*@example.com", User(DID, "bob@evil.com@example.com"), False),
        ("192.0.2.1", User(DID, "ada@example.com"), False),
        ("*@example.com", User(DID, "bob@example.com."), True),
        ("*@example.com.", User(DID, "bob@example.com"), True),
        ("*@xn--bcher-kva.example", User(DID, "bob@b\u00fccher.example"), True),
        ("bob@b\u00fccher.example", User(DID, "bob@xn--bcher-kva.example"), True),
        ("*@b\u00fccher.example", User(DID, "bob@B\u00dcCHER.example"), True),
        ("*@bucher.example", User(DID, "bob@b\u00fccher.example"), False),
    ],
)
def test_users(entry: str, user: User, expected: bool) -> None:
    """By the issuer, the email address, or the domain of that."""
    assert expected is matcher(entry).has_user(user)


@pytest.mark.parametrize(
    "email", ["bob@evil.com@example.com", '"b b"@example.com', "bob", "b@\u3002"]
)
@pytest.mark.parametrize("entry", ["*@example.com", "ada@example.com"])
def test_an_ambiguous_email_address_is_doubtful(entry: str, email: str) -> None:
    """Where an address or a domain is an entry; it cannot be told whether it is that."""
    user = User(DID, email)
    assert matcher(entry).has_user(user, doubtful=True)
    assert not matcher(entry).has_user(user)
    for other in ("192.0.2.1", "service:robot", "did:ethr:0x" + "1" * 40):
        assert not matcher(other).has_user(user, doubtful=True)
    assert not matcher(entry).has_user(User(DID), doubtful=True)


@pytest.mark.parametrize("entry", ["192.0.2.1", "2001:db8::/32", DID])
def test_a_matcher_says_whether_it_has_entries(entry: str) -> None:
    """One without entries is skipped."""
    assert matcher(entry)
    assert not matcher()
