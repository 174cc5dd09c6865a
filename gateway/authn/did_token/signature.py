"""Recovery of the signer of a text from a signature (EIP-191)."""

from gateway.util.eth_imports import eth_imports

with eth_imports():
    from eth_account import Account
    from eth_account.messages import encode_defunct


def signer_of(text: str, signature: str) -> str | None:
    """Recover the issuer that signed ``text`` by ``personal_sign``; None for a bad signature."""
    try:
        return f"did:ethr:{Account.recover_message(encode_defunct(text=text), signature=signature)}"
    except Exception:  # noqa: BLE001 - the libraries raise many kinds, see `gateway.users.magic_api`
        return None
