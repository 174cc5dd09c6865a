"""The canonical spelling of issuers: one identity has one name, however an operator types it."""

import re
from typing import Final, NamedTuple

from gateway.core.email import canonical_email
from gateway.util.eth_imports import eth_imports

with eth_imports():
    from eth_utils.address import to_checksum_address

SERVICE: Final = "service:"
"""Prefix of the issuer of a program with an API key; the issuer of a user is a DID."""
CERTIFICATE: Final = "cert:"
"""Prefix of the issuer of a program that authenticates by certificate."""

_DID = "did:"
_DID_ETHR = "did:ethr:"
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_PROGRAM = re.compile(rf"(?:{SERVICE}|{CERTIFICATE})[!-~]{{1,256}}", re.ASCII)
_JWT_SUBJECT = re.compile(r"[!\"$-~]{1,256}#[!-~]{1,4096}", re.ASCII)


class CallerName(NamedTuple):
    """Name by which an operator calls a user or a program, in its canonical spelling."""

    text: str
    is_email: bool
    """Whether it is an email address, which may be that of several issuers; else an issuer."""


class FoundIssuers(NamedTuple):
    """Issuers of an email address."""

    issuers: tuple[str, ...]
    """Sorted; empty where no user has the address."""
    is_complete: bool = True
    """False where Magic was not reached: issuers without a session may be missing."""


def read_name(text: str) -> CallerName:
    """Read an issuer or an email address. Raises ValueError where ``text`` is neither."""
    try:
        return CallerName(canonical(text), is_email=False)
    except ValueError:
        if text.startswith(_DID):
            raise
    try:
        return CallerName(canonical_email(text), is_email=True)
    except ValueError:
        raise ValueError(f"neither an issuer nor an email address; {_FORMS}") from None


_FORMS = "an issuer is did:ethr:0x…, service:NAME, cert:NAME or, of a JWT, ISSUER#SUBJECT"


def is_user(issuer: str) -> bool:
    """Whether an issuer is that of a user of Magic, not of a program or a JWT."""
    return issuer.startswith(_DID_ETHR)


def canonical(issuer: str) -> str:
    """
    Return ``issuer`` in its canonical spelling: a ``did:ethr:`` address with its checksum (EIP-55).

    An address in a single case gets its checksum; a wrong checksum means a typing mistake. Issuers
    of programs and of JWTs are returned as they are. Raises ValueError for all other text.
    """
    if issuer.startswith(_DID):
        return canonical_did(issuer)
    if _PROGRAM.fullmatch(issuer) is None and _JWT_SUBJECT.fullmatch(issuer) is None:
        raise ValueError(_FORMS)
    return issuer


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
