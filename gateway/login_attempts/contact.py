"""
Whom somebody says they are, before anything is proven: an email address or a phone number.

Spellings of one address count as one (CVE-2025-24806, CVE-2026-40574), and the store gets to see
none of them, only hashes that nobody can make without the gateway's key.
"""

import hmac
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from unicodedata import normalize

from gateway.core.errors import BadRequest
from gateway.core.identity import User

ISSUER: Final = "issuer"
"""The kind of somebody who is signed in already."""
LONGEST_EMAIL: Final = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
_LONGEST_LOCAL: Final = 64  # RFC 5321 section 4.5.3.1.1
_LONGEST_PHONE: Final = 40
_PHONE_SIGNS: Final = str.maketrans("", "", " -().\u00a0")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)  # ITU-T E.164
_LOCAL: Final = re.compile(r"[^\s\"(),:;<>@\[\\\]]+")  # RFC 5322 section 3.2.3, and RFC 6531
_DOMAIN: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)


class Contact(NamedTuple):
    """In its one spelling. ``kind`` is ``email``, ``phone`` or ``issuer``."""

    kind: str
    value: str

    def __repr__(self) -> str:
        return f"Contact({self.kind}, …)"  # logs must not hold it


def email(text: str) -> Contact:
    """
    The email address in ``text``: trimmed, without regard to case, in one normal form.

    Mailboxes may be told apart by case (RFC 5321 section 2.4) and are by nobody, so all spellings
    share a count. Raises `BadRequest`.
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
    return Contact("email", f"{local}@{domain}")


def phone(text: str) -> Contact:
    """The number in ``text``, with its country code. Raises `BadRequest`."""
    number = text.strip()[:_LONGEST_PHONE].translate(_PHONE_SIGNS)
    if not _PHONE.fullmatch(number):
        raise BadRequest("phone is not +, country code and number")
    return Contact("phone", number)


_READERS: Final[dict[str, Callable[[str], Contact]]] = {"email": email, "phone": phone}


def named(document: Any) -> Contact:
    """The one contact in a JSON document. Raises `BadRequest`."""
    if not isinstance(document, dict):
        raise BadRequest("expected an object")
    given = [kind for kind in _READERS if kind in document]
    if len(given) != 1 or not isinstance(document[given[0]], str):
        raise BadRequest("expected either email or phone, as text")
    return _READERS[given[0]](document[given[0]])


def known(user: User) -> list[Contact]:
    """What Magic knows of ``user``; what cannot be read as one is left out."""
    found: list[Contact] = []
    for text, read in ((user.email, email), (user.phone, phone)):
        try:
            found += [read(text)] if text else []
        except BadRequest:
            continue
    return found


def itself(user: User) -> Contact:
    """Somebody who is signed in already, whatever Magic knows of them."""
    return Contact(ISSUER, user.issuer.lower())


class Attempt(NamedTuple):
    """Whom somebody wants to sign in as, and under whom that is counted."""

    contact: Contact
    counted_as: Contact


def attempt(document: Any, user: User | None) -> Attempt:
    """
    The attempt in a JSON document; ``user`` is who is signed in already.

    Who renews a session is counted apart, so that nobody who uses up the tries for an email keeps
    its owner from going on; and need name no address, as not everybody has one. Raises
    `BadRequest`.
    """
    if user is not None and isinstance(document, dict) and not any(map(document.get, _READERS)):
        return Attempt(itself(user), itself(user))
    contact = named(document)
    is_own = user is not None and contact in known(user)
    return Attempt(contact, itself(user) if user is not None and is_own else contact)


class ContactHasher:
    """Hashes of contacts under the gateway's keys; the first makes them, all are recognised."""

    def __init__(self, server_keys: tuple[bytes, ...]) -> None:
        self._keys = [hmac.digest(key, b"gateway: contacts", "sha256") for key in server_keys]

    def digest(self, contact: Contact) -> bytes:
        """32 bytes."""
        return _digest(self._keys[0], contact)

    def limit_key(self, contact: Contact) -> str:
        """Under which its attempts are counted."""
        return f"{contact.kind}-{self.digest(contact).hex()[:32]}"

    def is_one_of(self, digest: bytes, contacts: list[Contact]) -> bool:
        """Whether ``digest`` is that of one of ``contacts``, with any of the keys."""
        hashes = [_digest(key, contact) for key in self._keys for contact in contacts]
        return any([hmac.compare_digest(digest, made) for made in hashes])  # noqa: C419 - all of them, whichever it is


def _digest(key: bytes, contact: Contact) -> bytes:
    return hmac.digest(key, f"{contact.kind}\0{contact.value}".encode(), "sha256")
