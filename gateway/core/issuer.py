"""The canonical spelling of issuers: one identity has one name, however an operator types it."""

import re

from gateway.util.eth_imports import eth_imports

with eth_imports():
    from eth_utils.address import to_checksum_address

_DID_ETHR = "did:ethr:"
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_OTHER = re.compile(r"[!-~]{1,256}", re.ASCII)


def canonical(issuer: str) -> str:
    """
    Return ``issuer`` in its canonical spelling: a ``did:ethr:`` address with its checksum (EIP-55).

    An address in a single case gets its checksum; a wrong checksum means a typing mistake. Issuers
    other than Magic's are returned as they are. Raises ValueError.
    """
    if not issuer.startswith(_DID_ETHR):
        if _OTHER.fullmatch(issuer) is None:
            raise ValueError("an issuer is printable ASCII without spaces")
        return issuer
    return canonical_did(issuer)


def canonical_did(issuer: str) -> str:
    """Like `canonical`, for Magic's issuers alone. Raises ValueError for all others."""
    address = issuer.removeprefix(_DID_ETHR)
    if not issuer.startswith(_DID_ETHR) or _ADDRESS.fullmatch(address) is None:
        raise ValueError("expected did:ethr:0x and 40 hexadecimal digits")
    spelled = str(to_checksum_address(address.lower()))
    digits = address[2:]
    if address != spelled and digits not in (digits.lower(), digits.upper()):
        raise ValueError("the address is mistyped: its checksum is wrong")
    return _DID_ETHR + spelled
