"""
Parsers of the matchers in rules: issuer, email, domain, address, role, scope, network.

They return values normalised as `gateway.authz.rules` compares them. Their `ValueError` says what
was expected and never shows the text.
"""

import re
from typing import Annotated

from Crypto.Hash import keccak
from pydantic import PlainSerializer, WithJsonSchema

from gateway.authz.roles import ROLE
from gateway.authz.rules import issuer as normalised_issuer
from gateway.authz.rules import lower, mailbox
from gateway.config.addresses import network
from gateway.config.units import of_text
from gateway.core.address import IPNetwork
from gateway.routing.client_address import network_text

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_TEXT = re.compile(r"[!-~]{1,256}")
_OTHER_CHAINS = re.compile(r"[0-9A-Za-z:]{20,128}")
_DID = "did:ethr:"
_SCOPE = re.compile(r"[!#-\[\]-~]{1,128}")  # RFC 6749 section 3.3
_MAPPED_BITS = 96


def ethereum_address(text: str) -> str:
    """
    Parse ``0x`` and 40 hex digits into lower case. Raises `ValueError`.

    Mixed case is a checksum (EIP-55), which must be correct: a typing error would name another
    user.
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
    """Parse ``did:ethr:0x…``, or the name of another issuer. Raises `ValueError`."""
    if text.startswith(_DID):
        return _DID + ethereum_address(text.removeprefix(_DID))
    if not _TEXT.fullmatch(text) or "*" in text:
        raise ValueError("expected an issuer such as did:ethr:0x…, whole and without a star")
    return normalised_issuer(text)


def public_address(text: str) -> str:
    """Parse a public address of Ethereum, or of another chain. Raises `ValueError`."""
    if text.startswith("0x"):
        return ethereum_address(text)
    if not _OTHER_CHAINS.fullmatch(text):
        raise ValueError("expected a public address, such as 0x and 40 hex digits")
    return text


def email(text: str) -> str:
    """Parse an email address, or ``*@`` and a domain for all its users. Raises `ValueError`."""
    box = mailbox(text)
    if box is None or ("*" in box.local and box.local != "*"):
        raise ValueError("expected an email address, or *@ and a domain, such as *@example.com")
    return f"{box.local}@{box.domain}"


def domain(text: str) -> str:
    """Parse a domain, or ``*.`` and a domain for all its subdomains. Raises `ValueError`."""
    name = lower(text)
    box = mailbox("a@" + name.removeprefix("*."))
    if box is None:
        raise ValueError("expected a domain such as example.com, or *.example.com for subdomains")
    return name


def role(text: str) -> str:
    """Check the name of a role. Raises `ValueError`."""
    if not ROLE.fullmatch(text):
        raise ValueError("expected the name of a role: up to 64 letters, digits and ._:/-")
    return text


def permission(text: str) -> str:
    """Check the name of a permission. Raises `ValueError`."""
    if not ROLE.fullmatch(text):
        raise ValueError("expected a permission: up to 64 letters, digits and ._:/-")
    return text


def scope(text: str) -> str:
    """Check the name of a scope. Raises `ValueError`."""
    if not _SCOPE.fullmatch(text):
        raise ValueError("expected the name of a scope, without spaces (RFC 6749 section 3.3)")
    return text


def client_network(text: str) -> IPNetwork:
    """
    Parse a network of clients other than /0. Raises `ValueError`.

    IPv4-mapped IPv6 networks are refused, because clients in them are known by their IPv4 address.
    """
    if text.endswith("/0"):
        raise ValueError("a /0 network matches all clients: leave the key out")
    wide = network(text)
    if wide.version == 6 and wide.prefixlen >= _MAPPED_BITS and wide.network_address.ipv4_mapped:  # noqa: PLR2004 - IPv6
        raise ValueError("write it as an IPv4 network: the clients in it have IPv4 addresses")
    return wide


_text = WithJsonSchema({"type": "string"})

IssuerText = Annotated[str, of_text(issuer), _text]
"""An issuer, as the app reads it in ``X-User-Issuer``."""

Email = Annotated[str, of_text(email), WithJsonSchema({"type": "string", "examples": ["*@a.com"]})]
"""An email address, or all addresses of a domain."""

Domain = Annotated[str, of_text(domain), _text]
"""A domain of email addresses, or all its subdomains."""

PublicAddress = Annotated[str, of_text(public_address), _text]
"""A public address."""

WalletText = Annotated[str, of_text(ethereum_address), _text]
"""The Ethereum address of a key that signs DID tokens."""

Role = Annotated[
    str, of_text(role), WithJsonSchema({"type": "string", "pattern": f"^{ROLE.pattern}$"})
]
"""The name of a role."""

Permission = Annotated[
    str, of_text(permission), WithJsonSchema({"type": "string", "pattern": f"^{ROLE.pattern}$"})
]
"""What a role permits, as a word."""

Scope = Annotated[str, of_text(scope), _text]
"""The name of a scope."""

ClientNetwork = Annotated[
    IPNetwork,
    of_text(client_network),
    PlainSerializer(network_text),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8"]}),
]
"""A network of clients."""
