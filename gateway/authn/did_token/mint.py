"""
Makes DID tokens that magic-admin accepts: for development mode and for tests.

A DID token is self-signed, so anyone can make one. It counts only where Magic knows its issuer.
"""

import base64
import json
import uuid
from typing import Any, NamedTuple

from gateway.util.eth_imports import eth_imports

with eth_imports():
    from eth_account import Account
    from eth_account.messages import encode_defunct


class TokenSigner(NamedTuple):
    """A private key with the address and the issuer that follow from it."""

    account: Any  # eth_account's LocalAccount; the library is untyped here

    @property
    def address(self) -> str:
        """Return the address: ``0x`` and 40 hexadecimal digits with EIP-55 checksum."""
        return str(self.account.address)

    @property
    def issuer(self) -> str:
        return f"did:ethr:{self.address}"

    def sign(self, text: str) -> str:
        """Sign ``text`` by ``personal_sign`` (EIP-191): ``0x`` and 65 bytes of r, s, v."""
        signature: bytes = self.account.sign_message(encode_defunct(text=text)).signature
        return "0x" + bytes(signature).hex()


def signer(key: bytes) -> TokenSigner:
    """Make the signer with the private key ``key`` (32 bytes)."""
    return TokenSigner(Account.from_key(key))


def mint(
    by: TokenSigner, audience: str, now_s: float, lifetime_s: float, attachment: str = "none"
) -> str:
    """
    Make a token for ``audience``, valid from ``now_s`` on; Magic's default lifetime is 900 s.

    The token is bound to ``attachment``: it holds the signature of that text, not the text itself.
    """
    issued_at_s = int(now_s)
    claim = {
        "iat": issued_at_s,
        "ext": issued_at_s + int(lifetime_s),
        "iss": by.issuer,
        "sub": uuid.uuid4().hex,
        "aud": audience,
        "nbf": issued_at_s,
        "tid": str(uuid.uuid4()),
        "add": by.sign(attachment),
    }
    text = json.dumps(claim, separators=(",", ":"))
    return encode(by.sign(text), text)


def encode(proof: str, claim_text: str) -> str:
    """Encode proof and claim as a token, in the spelling of Magic's browser SDK."""
    return base64.b64encode(
        json.dumps([proof, claim_text], separators=(",", ":")).encode()
    ).decode()
