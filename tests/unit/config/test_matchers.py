"""Matchers of rules: issuers, emails, domains, addresses, roles, scopes, networks."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import matchers

CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55
WRONG_CHECKSUM = CHECKSUMMED.replace("5aAeb", "5Aaeb")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"did:ethr:{CHECKSUMMED}", f"did:ethr:{CHECKSUMMED.lower()}", id="checksum"),
        pytest.param(f"did:ethr:0x{'AB' * 20}", f"did:ethr:0x{'ab' * 20}", id="upper-case"),
        pytest.param("service:Backup", "service:Backup", id="an-api-key-keeps-its-case"),
        pytest.param("https://id.example.com#42", "https://id.example.com#42", id="a-jwt"),
        pytest.param("cert:spiffe://a/b", "cert:spiffe://a/b", id="a-certificate"),
        pytest.param("x" * 256, "x" * 256, id="the-longest"),
    ],
)
def test_issuers(text: str, expected: str) -> None:
    """The address in a DID has no case; the names of other issuers have."""
    assert expected == matchers.issuer(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "expected an issuer", id="nothing"),
        pytest.param("did:ethr:*", "expected 0x and 40 hex digits", id="a-pattern-of-a-did"),
        pytest.param("service:*", "expected an issuer", id="a-pattern"),
        pytest.param("a b", "expected an issuer", id="a-space"),
        pytest.param("a\n", "expected an issuer", id="a-newline"),
        pytest.param("é", "expected an issuer", id="not-in-ascii"),
        pytest.param("x" * 257, "expected an issuer", id="too-long"),
        pytest.param(f"did:ethr:{CHECKSUMMED[:-1]}", "40 hex digits", id="a-digit-too-few"),
        pytest.param(f"did:ethr:{CHECKSUMMED}0", "40 hex digits", id="a-digit-too-many"),
        pytest.param(f"did:ethr:{WRONG_CHECKSUM}", r"checksum .* \(EIP-55\)", id="checksum"),
    ],
)
def test_no_issuers(text: str, message: str) -> None:
    """An issuer is written in full: a rule for it names one caller."""
    with pytest.raises(ValueError, match=message):
        matchers.issuer(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("ada@example.com", "ada@example.com", id="an-address"),
        pytest.param("Ada+x@Example.COM", "ada+x@example.com", id="without-case"),
        pytest.param("*@example.com", "*@example.com", id="all-of-a-domain"),
        pytest.param("ädä@example.com", "ädä@example.com", id="letters-of-rfc-6531"),
        pytest.param("ada@localhost", "ada@localhost", id="a-host-without-a-dot"),
    ],
)
def test_emails(text: str, expected: str) -> None:
    """An email address is compared without ASCII case; a star stands for the whole local part."""
    assert expected == matchers.email(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("ada", id="no-domain"),
        pytest.param("@example.com", id="no-local-part"),
        pytest.param("ada@", id="an-empty-domain"),
        pytest.param("a@b@example.com", id="two-at-signs"),
        pytest.param("*", id="a-star-alone"),
        pytest.param("a*@example.com", id="a-star-within-the-local-part"),
        pytest.param("*@*.example.com", id="a-star-in-the-domain"),
        pytest.param("ada@example.com.", id="a-trailing-dot"),
        pytest.param("ada@-example.com", id="a-leading-hyphen"),
        pytest.param('"a b"@example.com', id="quotes"),
        pytest.param("Ada <ada@example.com>", id="a-display-name"),
        pytest.param("ada@example.com\n", id="a-newline"),
        pytest.param("ada@exämple.com", id="a-domain-not-in-ascii"),
    ],
)
def test_no_emails(text: str) -> None:
    """Text that two programs could read as different addresses is refused."""
    with pytest.raises(ValueError, match="expected an email address"):
        matchers.email(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", "example.com"),
        ("Example.COM", "example.com"),
        ("*.example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_domains(text: str, expected: str) -> None:
    """A domain is compared in lower case; a leading star stands for its subdomains."""
    assert expected == matchers.domain(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "*.", ".example.com", "example.com.", "@example.com", "a@example.com",
        "*example.com", "a.*.example.com", "*.*.example.com", "bücher.example", "example.com\n",
        "exa mple.com", "example..com",
    ],
)  # fmt: skip
def test_no_domains(text: str) -> None:
    """Stars within a name, and text that is not a domain, are refused."""
    with pytest.raises(ValueError, match=r"expected a domain such as example\.com"):
        matchers.domain(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(CHECKSUMMED, CHECKSUMMED.lower(), id="checksum"),
        pytest.param(f"0x{'ab' * 20}", f"0x{'ab' * 20}", id="lower-case"),
        pytest.param(f"0x{'AB' * 20}", f"0x{'ab' * 20}", id="upper-case"),
        pytest.param(f"0x{'12' * 20}", f"0x{'12' * 20}", id="no-letters"),
    ],
)
@pytest.mark.parametrize("parse", [matchers.ethereum_address, matchers.public_address])
def test_ethereum_addresses(parse: Callable[[str], str], text: str, expected: str) -> None:
    """An address with the right checksum, or without any, is compared in lower case."""
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(WRONG_CHECKSUM, "checksum", id="checksum"),
        pytest.param("0x1", "expected 0x and 40 hex digits", id="too-short"),
        pytest.param(f"0x{'g' * 40}", "expected 0x and 40 hex digits", id="not-hexadecimal"),
        pytest.param(f"0x{'ab' * 20}\n", "expected 0x and 40 hex digits", id="a-newline"),
        pytest.param(f"0X{'AB' * 20}", "expected", id="an-upper-case-x"),
    ],
)
def test_no_ethereum_addresses(text: str, message: str) -> None:
    """A typing error in an address is found by its length or its checksum."""
    with pytest.raises(ValueError, match=message):
        matchers.ethereum_address(text)


@pytest.mark.parametrize("text", ["7EYnhQoR9YM3N7UoaKRoA44Uy8JeaZV3qyouov87awMs", "a:" * 10])
def test_addresses_of_other_chains(text: str) -> None:
    """An address of another chain keeps its case, which is part of it."""
    assert text == matchers.public_address(text)


@pytest.mark.parametrize("text", ["", "x" * 19, "x" * 129, "x" * 20 + "-", "x" * 20 + "\n"])
def test_no_addresses_of_other_chains(text: str) -> None:
    """A public address has 20 to 128 letters, digits and colons."""
    with pytest.raises(ValueError, match="expected a public address"):
        matchers.public_address(text)


@pytest.mark.parametrize("text", ["admin", "team:ops/on-call", "a.b_c", "x" * 64])
def test_roles(text: str) -> None:
    """The name of a role, or of what it permits, is kept as it is."""
    assert text == matchers.role(text) == matchers.permission(text)


@pytest.mark.parametrize("text", ["", "a b", "a,b", "é", "a\n", "x" * 65])
def test_no_roles(text: str) -> None:
    """A comma would be two roles in ``X-User-Roles``, or two permissions in the field beside it."""
    with pytest.raises(ValueError, match="expected the name of a role"):
        matchers.role(text)
    with pytest.raises(ValueError, match="expected a permission"):
        matchers.permission(text)


@pytest.mark.parametrize("text", ["read", "read:orders", "https://example.com/scope", "!", "~"])
def test_scopes(text: str) -> None:
    """A scope is a token of RFC 6749 section 3.3."""
    assert text == matchers.scope(text)


@pytest.mark.parametrize("text", ["", "a b", 'a"b', "a\\b", "é", "a\n", "x" * 129])
def test_no_scopes(text: str) -> None:
    """A space would be two scopes in a token."""
    with pytest.raises(ValueError, match="expected the name of a scope"):
        matchers.scope(text)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::fffe:0:0/95"])
def test_client_networks(text: str) -> None:
    """A network of clients is a CIDR; an address alone is a network of one."""
    assert ip_network(text) == matchers.client_network(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("0.0.0.0/0", "a /0 network matches all clients", id="all-of-ipv4"),
        pytest.param("::/0", "a /0 network matches all clients", id="all-of-ipv6"),
        pytest.param("::ffff:0:0/96", "write it as an IPv4 network", id="all-mapped-addresses"),
        pytest.param("::ffff:10.0.0.0/104", "write it as an IPv4 network", id="mapped"),
        pytest.param("10.0.0.1/8", "has bits set beyond its /8", id="bits-of-a-host"),
        pytest.param("example.com", "expected a network", id="a-name"),
    ],
)
def test_no_client_networks(text: str, message: str) -> None:
    """A network that matches all clients, or none, is refused."""
    with pytest.raises(ValueError, match=message):
        matchers.client_network(text)


@pytest.mark.parametrize(
    "parse",
    [
        matchers.issuer,
        matchers.email,
        matchers.domain,
        matchers.public_address,
        matchers.ethereum_address,
        matchers.role,
        matchers.scope,
    ],
)
@given(text=st.text())
def test_a_normalised_value_is_stable(parse: Callable[[str], str], text: str) -> None:
    """A parser accepts its own result, or it has refused the text without showing it."""
    try:
        value = parse(text)
    except ValueError as error:
        assert str(error).startswith("expected ")  # noqa: PT017 - that it raises is not the claim
    else:
        assert value == parse(value)
