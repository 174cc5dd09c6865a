"""Recovery of the signer of a text."""

import pytest

from gateway.authn.did_token.mint import TokenSigner
from gateway.authn.did_token.signature import signer_of
from tests.fakes.tokens import ALICE, BOB

TEXT = '{"iss":"did:ethr:0x0"}'
SIGNATURE = ALICE.sign(TEXT)


@pytest.mark.parametrize("signer", [ALICE, BOB], ids=["alice", "bob"])
@pytest.mark.parametrize("text", [TEXT, "", "none", "Zoë \u2713"])
def test_the_signer_is_recovered(text: str, signer: TokenSigner) -> None:
    """As an issuer with the checksummed spelling of its address (EIP-55)."""
    assert signer.issuer == signer_of(text, signer.sign(text))


def test_another_text_gives_another_signer() -> None:
    """Recovery succeeds with some other address: callers have to compare it."""
    assert ALICE.issuer != signer_of(TEXT + " ", SIGNATURE)


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("", id="empty"),
        pytest.param("0x", id="no-digits"),
        pytest.param("0xzz", id="not-hexadecimal"),
        pytest.param(SIGNATURE[:-2], id="too-short"),
        pytest.param(SIGNATURE + "00", id="too-long"),
        pytest.param("0x" + "00" * 65, id="zeros"),
        pytest.param("0x" + "ff" * 65, id="out-of-range"),
        pytest.param("Zoë", id="not-ascii"),
    ],
)
def test_a_malformed_signature_has_no_signer(signature: str) -> None:
    """No exception of the libraries gets out."""
    assert signer_of(TEXT, signature) is None
