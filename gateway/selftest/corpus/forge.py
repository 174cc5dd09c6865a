"""Forging of DID tokens: claims and proofs that no browser would make, rightly signed or not."""

import base64
import json
from collections.abc import Callable
from typing import Final

from gateway.authn.did_token.mint import TokenSigner, encode, mint, signer
from gateway.users.development import DEVELOPMENT_AUDIENCE

ALICE: Final[TokenSigner] = signer(b"\x01" * 32)
BOB: Final[TokenSigner] = signer(b"\x02" * 32)

ABSENT: Final = object()
"""As a value: leaves the claim out."""


def minted(now_s: float, by: TokenSigner = ALICE, lifetime_s: float = 900) -> str:
    """What Magic would hand to ``by``."""
    return mint(by, DEVELOPMENT_AUDIENCE, now_s, lifetime_s)


def attached(now_s: float, by: TokenSigner, attachment: str, lifetime_s: float = 900) -> str:
    """What Magic would hand to ``by`` for a page that binds it to ``attachment``."""
    return mint(by, DEVELOPMENT_AUDIENCE, now_s, lifetime_s, attachment)


def claim(now_s: float, by: TokenSigner = ALICE, **changes: object) -> dict[str, object]:
    """The claim of a token, with ``changes``; its token id is always the same."""
    issued_at_s = int(now_s)
    said: dict[str, object] = {
        "iat": issued_at_s,
        "ext": issued_at_s + 900,
        "iss": by.issuer,
        "sub": "c2VzYW1lIG9wZW4",
        "aud": DEVELOPMENT_AUDIENCE,
        "nbf": issued_at_s,
        "tid": "0b6ff1d3-6c5a-4d6f-8f3e-0d2f8a3f6b1e",
        "add": "0x00",
        **changes,
    }
    return {name: value for name, value in said.items() if value is not ABSENT}


def compact(value: object) -> str:
    """JSON as magic-admin writes it again before it checks the signature."""
    return json.dumps(value, separators=(",", ":"))


def signed(now_s: float, by: TokenSigner = ALICE, **changes: object) -> str:
    """A token whose claim is changed and whose signature is right."""
    text = compact(claim(now_s, by, **changes))
    return encode(by.sign(text), text)


def respelled(
    now_s: float, by: TokenSigner = ALICE, *, text: Callable[[str], str], **changes: object
) -> str:
    """A token whose claim text is rewritten after it was signed."""
    before = compact(claim(now_s, by, **changes))
    return encode(by.sign(before), text(before))


def reproved(now_s: float, by: TokenSigner = ALICE, *, proof: Callable[[str], object]) -> str:
    """A token whose proof is rewritten."""
    text = compact(claim(now_s, by))
    return packed(compact([proof(by.sign(text)), text]))


def packed(text: str | bytes) -> str:
    """Base64 of anything."""
    data = text if isinstance(text, bytes) else text.encode()
    return base64.b64encode(data).decode()
