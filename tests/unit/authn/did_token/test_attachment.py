"""What a DID token was bound to."""

import pytest

from gateway.authn.did_token.attachment import is_attached
from tests.fakes.tokens import ABSENT, ALICE, BOB, packed, signed

NOW_S = 1_800_000_000.0
NONCE = "jH0QwU9n3kqgk2m1Zb7cV5xT8rY4pL6sD0fA1eG2hJ3"


def bound_to(text: str) -> str:
    """Alice's token with ``text`` as its attachment."""
    return signed(NOW_S, add=ALICE.sign(text))


def test_a_token_is_bound_to_what_its_owner_signed() -> None:
    """And to nothing else."""
    assert is_attached(bound_to(NONCE), ALICE.issuer, NONCE)
    assert is_attached(bound_to(NONCE), ALICE.issuer.lower(), NONCE)
    for other in ("none", "", NONCE[:-1], NONCE + "x", NONCE.lower()):
        assert not is_attached(bound_to(NONCE), ALICE.issuer, other)


def test_a_token_of_a_page_that_asked_for_no_attachment() -> None:
    """Magic's default is the word none."""
    assert not is_attached(bound_to("none"), ALICE.issuer, NONCE)


def test_the_signature_of_another() -> None:
    """Bob's word does not bind Alice, though it stands in her token."""
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
def test_what_is_no_signature(attachment: object) -> None:
    """Whatever stands there, the answer is no, and nothing escapes."""
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
def test_what_is_no_token(token: str) -> None:
    """It has been proven before; if it was not, it is bound to nothing."""
    assert not is_attached(token, ALICE.issuer, NONCE)
