"""The attachment of a DID token."""

import pytest

from gateway.authn.did_token.attachment import is_attached
from tests.fakes.tokens import ABSENT, ALICE, BOB, packed, signed

NOW_S = 1_800_000_000.0
NONCE = "jH0QwU9n3kqgk2m1Zb7cV5xT8rY4pL6sD0fA1eG2hJ3"


def bound_to(text: str) -> str:
    """Alice's token with ``text`` as its attachment."""
    return signed(NOW_S, add=ALICE.sign(text))


def test_a_token_is_bound_to_the_text_that_its_issuer_signed() -> None:
    """Any other text does not match."""
    assert is_attached(bound_to(NONCE), ALICE.issuer, NONCE)
    assert is_attached(bound_to(NONCE), ALICE.issuer.lower(), NONCE)
    for other in ("none", "", NONCE[:-1], NONCE + "x", NONCE.lower()):
        assert not is_attached(bound_to(NONCE), ALICE.issuer, other)


def test_a_token_without_attachment_is_bound_to_the_word_none() -> None:
    """This is the default of Magic's SDK."""
    assert not is_attached(bound_to("none"), ALICE.issuer, NONCE)


def test_the_signature_of_another_issuer_does_not_bind() -> None:
    """Bob's signature inside Alice's token binds nothing."""
    token = signed(NOW_S, add=BOB.sign(NONCE))
    assert not is_attached(token, ALICE.issuer, NONCE)
    assert not is_attached(bound_to(NONCE), BOB.issuer, NONCE)


_GOOD = ALICE.sign(NONCE)


@pytest.mark.parametrize(
    "attachment",
    [
        *(ABSENT, None, 7, True, [], {}, "", "0x", "none", NONCE),
        *(_GOOD[2:], _GOOD[:-2], _GOOD + "00", _GOOD.upper(), f" {_GOOD}", f"{_GOOD}\n"),
        *("0x" + "0" * 130, "0x" + "f" * 130, _GOOD[:-2] + "ff", "0x" + "g" * 130),
        *(_GOOD[:66] + "f" * 64 + _GOOD[-2:], "0x" + "00" * 64 + "1b"),
    ],
    ids=lambda attachment: "absent" if attachment is ABSENT else repr(attachment),
)
def test_a_malformed_signature_does_not_bind(attachment: object) -> None:
    """No exception gets out."""
    assert not is_attached(signed(NOW_S, add=attachment), ALICE.issuer, NONCE)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "é",
        packed("[]"),
        packed("{}"),
        packed("7"),
        packed('["a","b"]'),
        packed('["a","[]"]'),
        packed('["a",7]'),
        packed("[" * 5000),
        packed('["a","7"]'),
    ],
    ids=lambda token: ascii(token)[:20],
)
def test_a_malformed_token_is_bound_to_nothing(token: str) -> None:
    """The function is safe even for a token that was not verified before."""
    assert not is_attached(token, ALICE.issuer, NONCE)
