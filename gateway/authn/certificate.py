"""
Client certificates: the names in one, and the identity that a listed name stands for.

The TLS handshake has already verified that a trusted authority issued the certificate, and that the
client has its private key. The names are the subject alternative names. The common name counts only
where the config says so, and only in certificates without other names (RFC 9525 section 2).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.issuer import CERTIFICATE
from gateway.core.request import Certificate
from gateway.util.lru import LruCache

_NAME = re.compile(r"[!-~]{1,256}", re.ASCII)

# What a star stands for is strict, since apps split names at commas, and resolve paths.
_LABEL_TEXT = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 section 2.1
_LABEL = re.compile(_LABEL_TEXT, re.ASCII)
_HOST = re.compile(rf"{_LABEL_TEXT}(?:\.{_LABEL_TEXT})*", re.ASCII)
_ATOM_TEXT = r"[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+"
_MAILBOX = re.compile(rf"{_ATOM_TEXT}(?:\.{_ATOM_TEXT})*", re.ASCII)  # RFC 5321 section 4.1.2
_SEGMENT_TEXT = r"(?!\.\.?(?:/|\Z))[A-Za-z0-9._-]+"  # SPIFFE-ID section 2.2
_PATH = re.compile(rf"{_SEGMENT_TEXT}(?:/{_SEGMENT_TEXT})*", re.ASCII)
_SPIFFE = re.compile(
    rf"spiffe://[a-z0-9._-]{{1,255}}(?:/\*|(?:/{_SEGMENT_TEXT})+(?:/\*)?)?", re.ASCII
)
_STARRED = {"dns": _LABEL, "email": _MAILBOX}
"""What a star at the beginning stands for, by the kind of the name."""

_MAX_IDENTITIES = 4096


def read(der: bytes) -> Certificate | None:
    """Parse a certificate in DER; None where it is unreadable, so that it names no identity."""
    try:
        found = x509.load_der_x509_certificate(der)
        try:
            extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            names = [("cn", str(a.value)) for a in found.subject.get_attributes_for_oid(_CN)]
        else:
            names = [pair for name in extension.value if (pair := _kind_and_name(name)) is not None]
        return Certificate(
            tuple((kind, name) for kind, name in names if _NAME.fullmatch(name)),
            f"{found.serial_number:x}",
            _ms(found.not_valid_before_utc),
            _ms(found.not_valid_after_utc),
        )
    except (ValueError, *_UNREADABLE):
        return None


_CN = NameOID.COMMON_NAME
_UNREADABLE = (x509.UnsupportedGeneralNameType, x509.DuplicateExtension, x509.InvalidVersion)
"""Errors of cryptography for certificates that OpenSSL accepts; none of them is a `ValueError`."""


def _kind_and_name(name: x509.GeneralName) -> tuple[str, str] | None:
    match name:
        case x509.UniformResourceIdentifier(value=value):
            return "uri", value
        case x509.DNSName(value=value):
            return "dns", value.lower()
        case x509.RFC822Name(value=value):
            return "email", value
    return None


def _ms(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp() * 1000)


class NamePattern(NamedTuple):
    """A pattern for names in certificates: one name, or all with a common prefix or suffix."""

    kind: str
    """``uri``, ``email`` or ``dns``."""
    text: str

    def matches(self, kind: str, name: str) -> bool:
        """
        Whether ``name`` matches. A star is one label, one mailbox, or all paths below.

        It stands for letters, digits and hyphens, for a dot-atom, or for segments of SPIFFE paths.
        """
        if kind != self.kind:
            return False
        if self.kind == "uri" and self.text.endswith("/*"):
            start = self.text[:-1]
            return name.startswith(start) and _is(_PATH, name.removeprefix(start))
        if self.text.startswith("*"):
            end = self.text[1:]
            return name.endswith(end) and _is(_STARRED[self.kind], name.removesuffix(end))
        return name == self.text


def pattern(text: str) -> NamePattern:
    """
    Parse ``spiffe://example.org/ns/*``, ``*@example.com``, ``*.svc.example.com`` or a plain name.

    Raises `ValueError`.
    """
    kind = "uri" if "://" in text else "email" if "@" in text else "dns"
    star = text.find("*")
    may_have_star = star in ((len(text) - 1,) if kind == "uri" else (0,))
    is_valid = star == -1 or (may_have_star and text.count("*") == 1)
    if kind == "uri" and star != -1:
        is_valid = is_valid and text.endswith("/*")
    elif star != -1:
        is_valid = is_valid and text[1:2] == ("@" if kind == "email" else ".")
    if not _NAME.fullmatch(text) or not is_valid or not _is_well_formed(kind, text):
        raise ValueError(
            "expected a name in certificates: spiffe://example.org/*, *@example.com,"
            " *.svc.example.com, or one of them without a star"
        )
    return NamePattern(kind, text.lower() if kind == "dns" else text)


def _is_well_formed(kind: str, text: str) -> bool:
    """Whether a pattern could match a well-formed name."""
    if kind == "uri":
        return not text.startswith("spiffe:") or _is(_SPIFFE, text)
    return _is(_HOST, text.rpartition("@")[2].removeprefix("*."))


def _is(shape: re.Pattern[str], text: str) -> bool:
    return shape.fullmatch(text) is not None


def is_listed(name: str, patterns: Sequence[NamePattern], *, common_name: bool = False) -> bool:
    """Whether ``name`` identifies a caller, as a name of any kind; ``common_name`` as there."""
    kind = "uri" if "://" in name else "email" if "@" in name else "dns"
    if kind == "dns" and not common_name and name != name.lower():
        return False  # `read` lowers DNS names, and leaves common names as they are
    return any(wanted.matches(kind, name) for wanted in patterns)


class CertificateNames:
    """Maps certificates to identities by the listed names; caches one object per certificate."""

    def __init__(self, patterns: Sequence[NamePattern], *, common_name: bool = False) -> None:
        self._patterns = tuple(patterns)
        self._common_name = common_name
        self._identities: LruCache[Certificate, Identity] = LruCache(_MAX_IDENTITIES)

    def identity(self, certificate: Certificate, now_s: float) -> Identity | None:
        """Return the identity; None where no name is listed, or outside the validity period."""
        if not certificate.begins_ms <= now_s * 1000 < certificate.ends_ms:
            return None
        identity = self._identities.get(certificate)
        if identity is None:
            name = self._name(certificate)
            if name is None:
                return None
            identity = Identity(
                User(CERTIFICATE + name),
                AuthMethod.CLIENT_CERTIFICATE,
                certificate.serial,
                certificate.ends_ms,
                proven_at_ms=certificate.begins_ms,
            )
            self._identities.put(certificate, identity)
        return identity

    def _name(self, certificate: Certificate) -> str | None:
        for wanted in self._patterns:
            for kind, name in certificate.names:
                compared = "dns" if kind == "cn" and self._common_name else kind
                if "*" not in name and wanted.matches(compared, name):  # a wildcard is no identity
                    return name
        return None
