"""Whose key a signature was made with."""

from gateway.util.eth_imports import eth_imports

with eth_imports():
    from eth_account import Account
    from eth_account.messages import encode_defunct


def signer_of(text: str, signature: str) -> str | None:
    """The issuer whose ``personal_sign`` of ``text`` (EIP-191) is ``signature``; None for junk."""
    try:
        return f"did:ethr:{Account.recover_message(encode_defunct(text=text), signature=signature)}"
    except Exception:  # noqa: BLE001 - as in `gateway.users.magic_api`: the libraries let anything out
        return None
