"""
The record ``known:{issuer}``: what the gateways know of a user, for themselves alone.

It decides whether an issuer is a user, also while Magic does not answer, and outlives what apps may
read. So it is encrypted under a server key, and bound to its own name: a writer of the store can
make gateways ask Magic, and a reader learns nothing.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.core.identity import User, Wallet
from gateway.core.text import printable_text
from gateway.users.metadata import MAX_WALLETS, Record, instant_ms

NONCE_BYTES: Final = 12

_FORM: Final = b"\x01"
"""First byte: ChaCha20-Poly1305 (RFC 8439) over a JSON array."""

_KEY_ID_BYTES: Final = 4
_NONCE_AT: Final = len(_FORM) + _KEY_ID_BYTES
_CIPHERTEXT_AT: Final = _NONCE_AT + NONCE_BYTES

_MEMBERS: Final = 7


def known_key(issuer: str) -> str:
    """Return the key of the record in the store."""
    return f"known:{issuer}"


class KnownSealer:
    """Encrypts records with the first of the server's keys, and opens those of all of them."""

    def __init__(self, server_keys: Sequence[bytes]) -> None:
        derived = [hmac.digest(key, b"gateway: known users", "sha256") for key in server_keys]
        self._ciphers = {_key_id(key): ChaCha20Poly1305(key) for key in derived}
        self._sealing_id = _key_id(derived[0])

    def encode(self, record: Record, nonce: bytes) -> bytes:
        """Encrypt a record for the store; ``nonce`` is `NONCE_BYTES` random bytes, used once."""
        head = _FORM + self._sealing_id
        place = head + known_key(record.user.issuer).encode()
        return head + nonce + self._ciphers[self._sealing_id].encrypt(nonce, _text(record), place)

    def decode(self, sealed: bytes, issuer: str) -> Record | None:
        """Decrypt the record of ``issuer``; None for one that no gateway has written there."""
        head, nonce = sealed[:_NONCE_AT], sealed[_NONCE_AT:_CIPHERTEXT_AT]
        cipher = self._ciphers.get(head[len(_FORM) :])
        if not head.startswith(_FORM) or cipher is None or len(nonce) < NONCE_BYTES:
            return None
        place = head + known_key(issuer).encode()
        try:
            return _record(cipher.decrypt(nonce, sealed[_CIPHERTEXT_AT:], place), issuer)
        except InvalidTag:
            return None


def _key_id(key: bytes) -> bytes:
    return sha256(b"gateway known key id\0" + key).digest()[:_KEY_ID_BYTES]


def _text(record: Record) -> bytes:
    user = record.user
    wallets = [[each.network, each.public_address, each.wallet_type] for each in user.wallets]
    texts = user.email, user.public_address, user.phone, user.oauth_provider, user.username
    return orjson.dumps([record.fetched_at_ms, *texts, wallets])


def _record(text: bytes, issuer: str) -> Record | None:
    """Read what a gateway has sealed; None where that is of another version."""
    members = orjson.loads(text)
    if not isinstance(members, list) or len(members) != _MEMBERS:
        return None
    fetched_at_ms, *texts, wallets = members
    email, public_address, phone, oauth_provider, username = map(printable_text, texts)
    owned = tuple(Wallet(*map(printable_text, each)) for each in wallets[:MAX_WALLETS])
    user = User(issuer, email, public_address, phone, oauth_provider, username, owned)
    return Record(user, instant_ms(fetched_at_ms))
