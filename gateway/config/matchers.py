"""
How rules name people: by issuer, email, domain, address, role and scope.

A parser raises `ValueError` that says what was expected, never what was found. What it returns is
folded as `gateway.authz.rules` compares it.
"""

import re
from typing import Annotated

from Crypto.Hash import keccak
from pydantic import PlainSerializer, WithJsonSchema

from gateway.authz.roles import ROLE
from gateway.authz.rules import issuer as folded
from gateway.authz.rules import lower, mailbox
from gateway.config.addresses import network, network_text
from gateway.config.units import of_text
from gateway.core.address import IPNetwork

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_TEXT = re.compile(r"[!-~]{1,256}")
_OTHER_CHAINS = re.compile(r"[0-9A-Za-z:]{20,128}")
_DID = "did:ethr:"
_SCOPE = re.compile(r"[!#-\[\]-~]{1,128}")  # RFC 6749 section 3.3
_MAPPED_BITS = 96


def ethereum_address(text: str) -> str:
    """
    ``0x`` and 40 hex digits, in lower case. Raises `ValueError`.

    Where both cases occur, they are a checksum (EIP-55) and have to be right: a slip of the pen
    would name somebody else.
    """
    if not _ADDRESS.fullmatch(text):
        raise ValueError("expected 0x and 40 hex digits")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and digits != _checksummed(digits.lower()):
        raise ValueError("the case of its letters is not the checksum of this address (EIP-55)")
    return text.lower()


def _checksummed(digits: str) -> str:
    digest = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
    pairs = zip(digits, digest, strict=False)
    return "".join(digit.upper() if int(hashed, 16) > 7 else digit for digit, hashed in pairs)  # noqa: PLR2004 - EIP-55


def issuer(text: str) -> str:
    """``did:ethr:0x…``, or another text that may name an issuer. Raises `ValueError`."""
    if text.startswith(_DID):
        return _DID + ethereum_address(text.removeprefix(_DID))
    if not _TEXT.fullmatch(text) or "*" in text:
        raise ValueError("expected an issuer such as did:ethr:0x…, whole and without a star")
    return folded(text)


def public_address(text: str) -> str:
    """A public address, of Ethereum or of another chain. Raises `ValueError`."""
    if text.startswith("0x"):
        return ethereum_address(text)
    if not _OTHER_CHAINS.fullmatch(text):
        raise ValueError("expected a public address, such as 0x and 40 hex digits")
    return text


def email(text: str) -> str:
    """An email address; ``*@`` and a domain for all of its people. Raises `ValueError`."""
    box = mailbox(text)
    if box is None or ("*" in box.local and box.local != "*"):
        raise ValueError("expected an email address, or *@ and a domain, such as *@example.com")
    return f"{box.local}@{box.domain}"


def domain(text: str) -> str:
    """A domain of emails; ``*.`` before it for all that is below it. Raises `ValueError`."""
    name = lower(text)
    box = mailbox("a@" + name.removeprefix("*."))
    if box is None:
        raise ValueError("expected a domain such as example.com, or *.example.com for those below")
    return name


def role(text: str) -> str:
    """The name of a role. Raises `ValueError`."""
    if not ROLE.fullmatch(text):
        raise ValueError("expected the name of a role: up to 64 letters, digits and ._:/-")
    return text


def scope(text: str) -> str:
    """The name of a scope. Raises `ValueError`."""
    if not _SCOPE.fullmatch(text):
        raise ValueError("expected the name of a scope, without spaces (RFC 6749 section 3.3)")
    return text


def client_network(text: str) -> IPNetwork:
    """A network that clients come from. Raises `ValueError`."""
    if text.endswith("/0"):
        raise ValueError("a /0 network is everybody: leave the key out")
    wide = network(text)
    if wide.version == 6 and wide.prefixlen >= _MAPPED_BITS and wide.network_address.ipv4_mapped:  # noqa: PLR2004 - IPv6
        raise ValueError("write it as an IPv4 network: that is how such clients are known")
    return wide


_text = WithJsonSchema({"type": "string"})

IssuerText = Annotated[str, of_text(issuer), _text]
"""Who somebody is, as the app reads it in ``X-User-Issuer``."""

Email = Annotated[str, of_text(email), WithJsonSchema({"type": "string", "examples": ["*@a.com"]})]
"""An email address, or all of a domain."""

Domain = Annotated[str, of_text(domain), _text]
"""The domain of email addresses, or all below it."""

PublicAddress = Annotated[str, of_text(public_address), _text]
"""A public address."""

WalletText = Annotated[str, of_text(ethereum_address), _text]
"""The address of a key that signs DID tokens."""

Role = Annotated[
    str, of_text(role), WithJsonSchema({"type": "string", "pattern": f"^{ROLE.pattern}$"})
]
"""The name of a role."""

Scope = Annotated[str, of_text(scope), _text]
"""The name of a scope."""

ClientNetwork = Annotated[
    IPNetwork,
    of_text(client_network),
    PlainSerializer(network_text),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8"]}),
]
"""A network that clients come from."""
