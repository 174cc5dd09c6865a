"""
Contacts: the unverified email address or phone number of an attempt to sign in.

Spellings of one address count as one (CVE-2025-24806, CVE-2026-40574). The store gets no address,
only hashes, which cannot be computed without the gateway's key.
"""

import hmac
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from unicodedata import normalize

from gateway.core.errors import BadRequest
from gateway.core.identity import User

EMAIL: Final = "email"
ISSUER: Final = "issuer"
"""Kind of contact of a user who is signed in already."""
LONGEST_EMAIL: Final = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
_LONGEST_LOCAL: Final = 64  # RFC 5321 section 4.5.3.1.1
_LONGEST_PHONE: Final = 40
_PHONE_SIGNS: Final = str.maketrans("", "", " -().\u00a0")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)  # ITU-T E.164
_LOCAL: Final = re.compile(r"[^\s\"(),:;<>@\[\\\]]+")  # RFC 5322 section 3.2.3, and RFC 6531
_DOMAIN: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)


class Contact(NamedTuple):
    """A contact in its canonical spelling. ``kind`` is ``email``, ``phone`` or ``issuer``."""

    kind: str
    value: str

    def __repr__(self) -> str:
        return f"Contact({self.kind}, …)"  # logs must not hold it


def read_email(text: str) -> Contact:
    """
    Read the email address in ``text``: trimmed, case-folded and normalised.

    Mailboxes may differ by case (RFC 5321 section 2.4), but no provider uses that, so all
    spellings share a count. Raises `BadRequest`.
    """
    folded = normalize("NFKC", normalize("NFKC", text.strip()).casefold())
    local, _, domain = folded.partition("@")
    if len(folded) > LONGEST_EMAIL or not folded.isprintable() or len(local) > _LONGEST_LOCAL:
        raise BadRequest("email is too long or not printable")
    try:
        domain = domain.removesuffix(".").encode("idna").decode("ascii")
    except UnicodeError:
        raise BadRequest("email has no domain") from None
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise BadRequest("email is not local@domain")
    return Contact(EMAIL, f"{local}@{domain}")


def read_phone(text: str) -> Contact:
    """Read the phone number in ``text``, with its country code. Raises `BadRequest`."""
    number = text.strip()[:_LONGEST_PHONE].translate(_PHONE_SIGNS)
    if not _PHONE.fullmatch(number):
        raise BadRequest("phone is not +, country code and number")
    return Contact("phone", number)


_READERS: Final[dict[str, Callable[[str], Contact]]] = {"email": read_email, "phone": read_phone}


def read_contact(document: Any) -> Contact:
    """Read the one contact in a JSON document. Raises `BadRequest`."""
    if not isinstance(document, dict):
        raise BadRequest("expected an object")
    given = [kind for kind in _READERS if kind in document]
    if len(given) != 1 or not isinstance(document[given[0]], str):
        raise BadRequest("expected either email or phone, as text")
    return _READERS[given[0]](document[given[0]])


def contacts_of(user: User) -> list[Contact]:
    """Contacts that Magic knows of ``user``; malformed ones are left out."""
    found: list[Contact] = []
    for text, read in ((user.email, read_email), (user.phone, read_phone)):
        try:
            found += [read(text)] if text else []
        except BadRequest:
            continue
    return found


def issuer_contact(user: User) -> Contact:
    """Contact of a user who is signed in already, by issuer."""
    return Contact(ISSUER, user.issuer.lower())


class Attempt(NamedTuple):
    """The contact to sign in as, and the contact that the limit is charged to."""

    contact: Contact
    counted_as: Contact


def read_attempt(document: Any, user: User | None) -> Attempt:
    """
    Read the attempt in a JSON document; ``user`` is signed in already, if given.

    A renewal is counted by issuer, so that an attacker who uses up the attempts of an email does
    not lock its owner out. It may leave out the contact, as some users have none. Raises
    `BadRequest`.
    """
    if user is not None and isinstance(document, dict) and not any(map(document.get, _READERS)):
        return Attempt(issuer_contact(user), issuer_contact(user))
    contact = read_contact(document)
    is_own = user is not None and contact in contacts_of(user)
    return Attempt(contact, issuer_contact(user) if user is not None and is_own else contact)


class ContactHasher:
    """Hashes contacts with the gateway's keys: the first makes hashes, all are recognised."""

    def __init__(self, server_keys: tuple[bytes, ...]) -> None:
        self._keys = [hmac.digest(key, b"gateway: contacts", "sha256") for key in server_keys]

    def digest(self, contact: Contact) -> bytes:
        """Hash of a contact, 32 bytes."""
        return _digest(self._keys[0], contact)

    def limit_key(self, contact: Contact) -> str:
        """Key under which attempts for a contact are counted."""
        return f"{contact.kind}-{self.digest(contact).hex()[:32]}"

    def is_one_of(self, digest: bytes, contacts: list[Contact]) -> bool:
        """Whether ``digest`` is the hash of one of ``contacts``, with any of the keys."""
        hashes = [_digest(key, contact) for key in self._keys for contact in contacts]
        return any([hmac.compare_digest(digest, known) for known in hashes])  # noqa: C419 - constant time


def _digest(key: bytes, contact: Contact) -> bytes:
    return hmac.digest(key, f"{contact.kind}\0{contact.value}".encode(), "sha256")
