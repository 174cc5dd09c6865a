"""
Encryption of sessions: names and records in the store can be derived from the cookie only.

The cookie is a random secret. The session's key in the store is a hash of it. The record is
encrypted under a key derived from the cookie *and* a server key, and bound to its own name. So a
stolen store opens nothing, a stolen server key opens nothing without the cookies, and a record that
was moved to another name does not open.

The entry in the owner's list of sessions is sealed with the server key alone, so that it can be
shown without the session's cookie.

A million sessions are a million of these records, so they hold no nonce (RFC 8439 section 2.8: no
key seals two messages under one nonce). The key of a session seals its record and nothing else; an
entry has the nonce that its place gives, where nothing else is sealed. Records of the previous
version, with a random nonce, are read too.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SESSION = "session:"
"""Prefix of the store keys of all sessions."""

SECRET_BYTES = 32
"""256 bits. OWASP asks for 64; guessing one would bypass even a second factor."""
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
"""base64url of the secret, without padding (RFC 4648 section 5)."""

SERVER_KEY_BYTES = 32
"""Least length of a server key: RFC 5869 section 3.1 suggests the length of the hash."""

NONCE_BYTES = 12
TAG_BYTES = 16
KEY_ID_BYTES = 4

FORM = b"\x02"
"""First byte of a sealed record: ChaCha20-Poly1305 (RFC 8439) under HKDF-SHA256 (RFC 5869)."""
FORM_WITH_NONCE = b"\x01"
"""The same with a nonce before the ciphertext, as the previous version wrote it."""

# A sealed record: form, key id, and ciphertext with its tag.
_HEAD_BYTES = len(FORM) + KEY_ID_BYTES
_NO_NONCE = bytes(NONCE_BYTES)

# Domain separation: a hash or key for one purpose never equals one for another.
FOR_NAME = b"gateway session name\0"
FOR_SEAL = b"gateway session seal\0"
FOR_KEY_ID = b"gateway server key id\0"
FOR_PUBLIC_ID = b"gateway session public id\0"
FOR_ENTRY = b"gateway session entry\0"
FOR_NONCE = b"gateway session entry nonce\0"


class SealBroken(ValueError):
    """Decryption failed: the record is of another cookie or server key, or was altered."""


def secret_from(randomness: bytes) -> str:
    """Make a cookie's value from `SECRET_BYTES` random bytes."""
    if len(randomness) != SECRET_BYTES:
        raise ValueError(f"a session secret takes {SECRET_BYTES} random bytes")
    return urlsafe_b64encode(randomness).decode().rstrip("=")


def is_secret(cookie: str) -> bool:
    """Whether ``cookie`` has the form of a secret; anything else need not be looked up."""
    return SECRET.fullmatch(cookie) is not None


def key_name(secret: str) -> str:
    """Derive the session's key in the store, which reveals nothing of ``secret``."""
    return f"{SESSION}{sha256(FOR_NAME + secret.encode()).hexdigest()}"


def public_id(session_key: str) -> str:
    """Derive the id that users and logs see; it reveals neither the cookie nor the store key."""
    return sha256(FOR_PUBLIC_ID + session_key.encode()).hexdigest()[:32]


class Sealer:
    """Seals records with the first of its keys, and opens those that any of them sealed."""

    def __init__(self, server_keys: Sequence[bytes]) -> None:
        """Raises ValueError for no key, a short one, or two alike."""
        if not server_keys:
            raise ValueError("no session key is given")
        if any(len(key) < SERVER_KEY_BYTES for key in server_keys):
            raise ValueError(f"a session key needs at least {SERVER_KEY_BYTES} random bytes")
        self._keys = {_key_id(key): key for key in server_keys}
        if len(self._keys) < len(server_keys):
            raise ValueError("two session keys are alike")
        self._sealing_id = _key_id(server_keys[0])

    def seal(self, secret: str, record: bytes) -> bytes:
        """Encrypt the one record of a session for the store."""
        return self._seal(FOR_SEAL, secret, key_name(secret), record)

    def open(self, secret: str, sealed: bytes, name: str = "") -> bytes:
        """
        Decrypt the record that was sealed for ``secret``. Raises `SealBroken`.

        A caller that has computed ``name``, the `key_name` of the secret, saves doing so again.
        """
        return self._open(FOR_SEAL, secret, name or key_name(secret), sealed)

    def seal_entry(self, place: str, record: bytes) -> bytes:
        """Encrypt the one record for ``place``, to be opened without a secret."""
        return self._seal(FOR_ENTRY, "", place, record)

    def open_entry(self, place: str, sealed: bytes) -> bytes:
        """Decrypt the record that was sealed for ``place``. Raises `SealBroken`."""
        return self._open(FOR_ENTRY, "", place, sealed)

    def _seal(self, use: bytes, secret: str, place: str, record: bytes) -> bytes:
        head = FORM + self._sealing_id
        cipher = _cipher(use, secret, self._keys[self._sealing_id])
        return head + cipher.encrypt(_nonce(use, place), record, head + place.encode())

    def _open(self, use: bytes, secret: str, place: str, sealed: bytes) -> bytes:
        head, text = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        nonce = _nonce(use, place)
        if head.startswith(FORM_WITH_NONCE):
            nonce, text = text[:NONCE_BYTES], text[NONCE_BYTES:]
        if len(text) < TAG_BYTES:
            raise SealBroken("too short")
        server_key = self._keys.get(head[len(FORM) :])
        if not head.startswith((FORM, FORM_WITH_NONCE)) or server_key is None:
            raise SealBroken("sealed in another form, or with a key that is not ours any more")
        cipher = _cipher(use, secret, server_key)
        try:
            return cipher.decrypt(nonce, text, head + place.encode())
        except InvalidTag:
            raise SealBroken("altered, or sealed for another cookie") from None


def _nonce(use: bytes, place: str) -> bytes:
    """Return the nonce of the one record that is sealed for ``use`` at ``place``."""
    if use == FOR_SEAL:
        return _NO_NONCE  # under a key of its own
    return sha256(FOR_NONCE + place.encode()).digest()[:NONCE_BYTES]


def _key_id(server_key: bytes) -> bytes:
    return sha256(FOR_KEY_ID + server_key).digest()[:KEY_ID_BYTES]


def _cipher(use: bytes, secret: str, server_key: bytes) -> ChaCha20Poly1305:
    derived = HKDF(SHA256(), length=32, salt=server_key, info=use).derive(secret.encode())
    return ChaCha20Poly1305(derived)
