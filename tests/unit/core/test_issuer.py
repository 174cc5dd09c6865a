"""The canonical spelling of issuers."""

import pytest

from gateway.core.issuer import canonical
from tests.fakes.tokens import ALICE


@pytest.mark.parametrize(
    "typed",
    [
        ALICE.issuer,
        ALICE.issuer.lower(),
        "did:ethr:0x" + ALICE.address[2:].upper(),
        "https://issuer.example/tenant|42",
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
        "two words",
        "ä",
        "x" * 257,
    ],
)
def test_a_mistyped_issuer_is_refused(typed: str) -> None:
    """Otherwise a revocation would report success without effect."""
    with pytest.raises(ValueError, match=r"issuer|expected|mistyped"):
        canonical(typed)
