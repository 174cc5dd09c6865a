"""Names that can be revoked, and those that cannot."""

import pytest

from gateway.core.issuer import CallerName
from gateway.revocation.name import (
    AcceptedNames,
    NotRevocable,
    RevocationRefused,
    UnknownEmail,
    refusal_of,
    revocable,
)
from tests.fakes.tokens import ALICE

ACCEPTED = AcceptedNames({"https://id.example"}, lambda name: name == "spiffe://a.example/jobs")


@pytest.mark.parametrize(
    ("typed", "canonical", "is_email"),
    [
        (ALICE.issuer.lower(), ALICE.issuer, False),
        ("Ada@Example.com", "ada@example.com", True),
        ("https://id.example#42", "https://id.example#42", False),
        ("cert:spiffe://a.example/jobs", "cert:spiffe://a.example/jobs", False),
    ],
)
def test_names_of_credentials_that_an_epoch_revokes(
    typed: str, canonical: str, is_email: bool
) -> None:
    """Users, by issuer or email; subjects of JWTs and names of certificates that are accepted."""
    assert CallerName(canonical, is_email) == revocable(typed, ACCEPTED)


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("api-key:abcdefghijklmnop", "gateway api-keys revoke ID"),
        ("service:reports", "gateway api-keys revoke --owner reports"),
        ("cert:spiffe://b.example/jobs", "no pattern in credentials.client_certificates.names"),
        ("https://other.example#42", "credentials.jwt lists no such issuer"),
    ],
)
def test_names_that_no_epoch_revokes_are_refused_with_a_remedy(typed: str, remedy: str) -> None:
    """Otherwise a revocation would report success without effect."""
    with pytest.raises(NotRevocable, match=remedy) as refused:
        revocable(typed, ACCEPTED)
    assert "not_revocable" == refused.value.code


@pytest.mark.parametrize("typed", ["x", "", "did:ethr:0x1", ALICE.issuer[:-1]])
def test_text_that_is_no_name_is_refused(typed: str) -> None:
    """So is a mistyped one."""
    with pytest.raises(RevocationRefused) as refused:
        revocable(typed, ACCEPTED)
    assert "bad_request" == refused.value.code


@pytest.mark.parametrize("kind", [RevocationRefused, NotRevocable, UnknownEmail])
def test_a_refusal_survives_the_way_between_processes(kind: type[RevocationRefused]) -> None:
    """By its code and its message."""
    made = refusal_of(kind.code, "why")
    assert (kind, "why") == (type(made), str(made))
