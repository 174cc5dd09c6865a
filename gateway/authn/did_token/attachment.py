"""
Verification of a DID token's attachment: a text that the token was bound to when it was made.

``generateIdToken({attachment})`` of Magic's browser SDK signs a text of the page's choice with the
user's key, and puts the signature into the claim as ``add``. magic-admin for Python ignores it;
this module checks it as magic-admin for JavaScript does.
"""

import binascii
import re
from typing import Final

import orjson

from gateway.authn.did_token.signature import signer_of

_SIGNATURE: Final = re.compile(r"0x[0-9a-f]{128}1[bc]", re.ASCII)  # EIP-191


def is_attached(token: str, issuer: str, attachment: str) -> bool:
    """
    Whether ``issuer`` bound ``token``, which was verified before, to ``attachment``.

    The signature is part of the signed claim, so only the issuer can have put it there.
    """
    signature = _signature(token)
    if signature is None:
        return False
    signer = signer_of(attachment, signature)
    return signer is not None and signer.lower() == issuer.lower()


def _signature(token: str) -> str | None:
    try:
        _, claim = orjson.loads(binascii.a2b_base64(token))
        signature = orjson.loads(claim)["add"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        return None
    return signature
