"""
Whom a client's certificate names, where the config counts such names.

That it was issued by an authority that we trust, and that the client has its key, TLS has proven
already. Names are its subject alternative names; what a subject is called counts only where the
config says so, and only of certificates that have no others (RFC 9525 section 2).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.request import Certificate
from gateway.util.lru import LruCache

CERTIFICATE = "cert:"
"""What the issuer of a program with a certificate begins with."""

_NAME = re.compile(r"[!-~]{1,256}", re.ASCII)
_MAX_KNOWN = 4096


def read(der: bytes) -> Certificate | None:
    """What is asked of a certificate; None where it cannot be read: it names nobody then."""
    try:
        found = x509.load_der_x509_certificate(der)
        try:
            extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            names = [("cn", str(a.value)) for a in found.subject.get_attributes_for_oid(_CN)]
        else:
            names = [named for name in extension.value if (named := _named(name)) is not None]
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
"""What cryptography says of certificates that OpenSSL takes; none of them is a `ValueError`."""


def _named(name: x509.GeneralName) -> tuple[str, str] | None:
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
    """Names that count: one, or all with an end or a beginning."""

    kind: str
    """``uri``, ``email`` or ``dns``."""
    text: str

    def matches(self, kind: str, name: str) -> bool:
        """Whether ``name`` counts. A star is one label, one mailbox, or all paths below."""
        if kind != self.kind:
            return False
        if self.kind == "uri" and self.text.endswith("/*"):
            return name.startswith(self.text[:-1]) and not _has_steps(name)
        if self.text.startswith("*"):
            end = self.text[1:]
            start = name.removesuffix(end)
            return name.endswith(end) and bool(start) and end[0] not in start
        return name == self.text


def _has_steps(uri: str) -> bool:
    """Whether a path could lead out of where it begins."""
    return "/../" in f"{uri}/" or "%2e" in uri.lower()


def pattern(text: str) -> NamePattern:
    """
    The pattern in ``spiffe://example.org/ns/*``, ``*@example.com`` or ``*.svc.example.com``.

    Raises `ValueError`.
    """
    kind = "uri" if "://" in text else "email" if "@" in text else "dns"
    star = text.find("*")
    may_have_star = star in ((len(text) - 1,) if kind == "uri" else (0,))
    is_good = star == -1 or (may_have_star and text.count("*") == 1)
    if kind == "uri" and star != -1:
        is_good = is_good and text.endswith("/*")
    elif star != -1:
        is_good = is_good and text[1:2] == ("@" if kind == "email" else ".")
    if not _NAME.fullmatch(text) or not is_good:
        raise ValueError(
            "expected a name in certificates: spiffe://example.org/*, *@example.com,"
            " *.svc.example.com, or one of them without a star"
        )
    return NamePattern(kind, text.lower() if kind == "dns" else text)


class CertificateNames:
    """Knows which names count; one object for the same certificate, as long as it is shown."""

    def __init__(self, patterns: Sequence[NamePattern], *, common_name: bool = False) -> None:
        self._patterns = tuple(patterns)
        self._common_name = common_name
        self._known: LruCache[Certificate, Identity] = LruCache(_MAX_KNOWN)

    def identity(self, certificate: Certificate, now_s: float) -> Identity | None:
        """Whom it names; None where no name counts, or its time is over or has not come."""
        if not certificate.begins_ms <= now_s * 1000 < certificate.ends_ms:
            return None
        known = self._known.get(certificate)
        if known is None:
            name = self._name(certificate)
            if name is None:
                return None
            known = Identity(
                User(CERTIFICATE + name),
                AuthMethod.CLIENT_CERTIFICATE,
                certificate.serial,
                certificate.ends_ms,
                proven_at_ms=certificate.begins_ms,
            )
            self._known.put(certificate, known)
        return known

    def _name(self, certificate: Certificate) -> str | None:
        for wanted in self._patterns:
            for kind, name in certificate.names:
                said = "dns" if kind == "cn" and self._common_name else kind
                if "*" not in name and wanted.matches(said, name):  # a star is many, not somebody
                    return name
        return None
