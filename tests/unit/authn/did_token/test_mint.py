"""Tokens that magic-admin accepts."""

import time

from gateway.authn.did_token.mint import mint, signer
from gateway.authn.did_token.token import TokenRules, inspect
from gateway.users.magic_api import SignatureChecker
from tests.fakes.tokens import ALICE, AUDIENCE, BOB


def test_minted_tokens_pass_every_check() -> None:
    """magic-admin accepts them."""
    now_s = time.time()
    token = mint(ALICE, AUDIENCE, now_s, 60)
    claim = inspect(token, TokenRules(AUDIENCE, 60), now_s)
    assert (ALICE.issuer, int(now_s) + 60) == (claim.issuer, claim.expires_at_s)
    SignatureChecker("sk_test", AUDIENCE).check(token)


def test_each_token_has_its_own_id() -> None:
    """Two tokens of one moment can be told apart."""
    claims = [
        inspect(mint(ALICE, AUDIENCE, 1.8e9, 60), TokenRules(AUDIENCE, 60), 1.8e9) for _ in range(2)
    ]
    assert claims[0].token_id != claims[1].token_id


def test_a_key_has_one_checksummed_address() -> None:
    """Another key has another address."""
    assert ALICE.address == "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1"
    assert ALICE.issuer == signer(b"\x01" * 32).issuer != BOB.issuer
