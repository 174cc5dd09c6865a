"""The canonical spelling of issuers."""

import pytest

from gateway.core.issuer import CallerName, canonical, is_user, read_name
from tests.fakes.tokens import ALICE


@pytest.mark.parametrize(
    "typed",
    [
        ALICE.issuer,
        ALICE.issuer.lower(),
        "did:ethr:0x" + ALICE.address[2:].upper(),
        "https://issuer.example/tenant#42",
        "acme#ada@example.com",
        "service:reports",
        "cert:spiffe://example.org/reports",
    ],
)
def test_an_issuer_has_one_canonical_spelling(typed: str) -> None:
    """An issuer other than Magic's stays as it is."""
    assert canonical(typed) == (ALICE.issuer if typed.startswith("did:ethr:") else typed)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "did:ethr:",
        "did:ethr:0x12",
        ALICE.issuer + "0",
        ALICE.issuer + "\n",
        ALICE.issuer.replace("0x", "0X"),
        ALICE.issuer[:-1] + "g",
        ALICE.issuer.swapcase().replace("DID:ETHR:0X", "did:ethr:0x"),
        "did:web:example.com",
        "two words",
        "ä",
        "x",
        "service:",
        "cert:two words",
        "#42",
        "api-key:abcdefghijklmnop",
        "ada@example.com",
        "x" * 257 + "#42",
    ],
)
def test_a_mistyped_issuer_is_refused(typed: str) -> None:
    """Otherwise a revocation would report success without effect."""
    with pytest.raises(ValueError, match=r"issuer|expected|mistyped"):
        canonical(typed)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (ALICE.issuer.lower(), CallerName(ALICE.issuer, is_email=False)),
        ("service:reports", CallerName("service:reports", is_email=False)),
        ("acme#ada@example.com", CallerName("acme#ada@example.com", is_email=False)),
        (" Ada@Example.COM\n", CallerName("ada@example.com", is_email=True)),
    ],
)
def test_a_name_is_an_issuer_or_an_email(typed: str, name: CallerName) -> None:
    """A JWT's subject may hold an ``@``, and is an issuer all the same."""
    assert name == read_name(typed)


@pytest.mark.parametrize("typed", ["x", "ada", "@example.com", "a b@example.com", ""])
def test_a_name_that_is_neither_is_refused(typed: str) -> None:
    """The error says what both look like."""
    with pytest.raises(ValueError, match=r"neither an issuer nor an email address; .* did:ethr:0x"):
        read_name(typed)


def test_a_mistyped_did_is_not_read_as_an_email() -> None:
    """The error is about the checksum."""
    with pytest.raises(ValueError, match="mistyped"):
        read_name(ALICE.issuer[:11] + ALICE.issuer[11:].swapcase())


def test_users_are_told_from_programs() -> None:
    """Magic knows users alone."""
    assert is_user(ALICE.issuer)
    assert not is_user("cert:a.example")
