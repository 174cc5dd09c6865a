"""
API keys: their text format, and their records.

A key is ``gwk_<id>_<secret>_<checksum>``. By the prefix and the checksum, secret scanners find
leaked keys without false alarms. The id names the record; the secret is 256 random bits.

The record holds a plain SHA-256 of the secret. Slow hashes protect passwords, which people choose.
Trying out 2**256 secrets is impossible at any speed, and each request would pay for a slow hash.

The record is sealed with a server key. An attacker with write access to the store can delete keys
or restore old records, but cannot forge a key.
"""

import hmac
import re
import zlib
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import orjson

from gateway.core.issuer import SERVICE
from gateway.core.limit import Limit

ID_BYTES, SECRET_BYTES = 10, 32

PREFIX = "gwk_"
"""Of every API key: programs that look for leaked secrets find them by it."""

_KEY = re.compile(r"(gwk_([a-z2-7]{16})_([a-z2-7]{52}))_([0-9a-f]{8})", re.ASCII)
_ID = re.compile(r"[a-z2-7]{16}", re.ASCII)
_SEALING = b"gateway: api keys"
_TAG_BYTES = 32

_DID = re.compile(r"did:ethr:0x[0-9a-fA-F]{40}", re.ASCII)
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_SCOPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/*-]{0,63}", re.ASCII)
"""Stricter than RFC 6749 section 3.3, so that a scope is safe in any header and log line."""


class ParsedApiKey(NamedTuple):
    """The variable parts of a key."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"ParsedApiKey({self.id}, …)"  # tracebacks must not hold the secret


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Record of a key. Times are Unix times in milliseconds."""

    id: str
    name: str
    owner: str
    """An issuer: a DID, or ``service:`` and a name."""
    secret_hash: str
    scopes: tuple[str, ...]
    limit: Limit | None
    """Rate limit of this key, in addition to those of routes."""
    created_at_ms: int
    expires_at_ms: int
    revoked_at_ms: int | None = None

    def state(self, now_ms: int) -> str:
        """Return ``active``, ``expired`` or ``revoked``."""
        if self.revoked_at_ms is not None:
            return "revoked"
        return "expired" if now_ms >= self.expires_at_ms else "active"


def format_key(id_bytes: bytes, secret_bytes: bytes) -> tuple[str, ParsedApiKey]:
    """Make a new key of random bytes: its text, which is shown once, and its parts."""
    if (len(id_bytes), len(secret_bytes)) != (ID_BYTES, SECRET_BYTES):
        raise ValueError("an API key takes other random bytes")
    parts = ParsedApiKey(_base32(id_bytes), _base32(secret_bytes))
    start = f"gwk_{parts.id}_{parts.secret}"
    return f"{start}_{_checksum(start)}", parts


def has_key_shape(token: str) -> bool:
    """Whether a token is meant to be an API key."""
    return token.startswith(PREFIX)


def parse_key(text: str) -> ParsedApiKey | None:
    """Parse a key; None for a malformed one, which needs no look-up."""
    match = _KEY.fullmatch(text)
    if match is None or _checksum(match[1]) != match[4]:
        return None
    return ParsedApiKey(match[2], match[3])


def is_id(text: str) -> bool:
    """Whether ``text`` could be the id of a key."""
    return _ID.fullmatch(text) is not None


def hash_of(secret: str) -> str:
    """Hash ``secret`` for its record."""
    return sha256(secret.encode()).hexdigest()


def is_secret_of(key: ApiKey, secret: str) -> bool:
    """Whether ``secret`` is that of ``key``, compared in constant time."""
    return hmac.compare_digest(key.secret_hash, hash_of(secret))


def owner(text: str) -> str:
    """Return the issuer that ``text`` names: a DID as it is, or a service. Raises `ValueError`."""
    if _DID.fullmatch(text):
        return text
    if not _SERVICE.fullmatch(text):
        raise ValueError("expected did:ethr:0x… or a service's name of letters, digits, - and _")
    return SERVICE + text


def scope(text: str) -> str:
    """Return ``text`` if it is a scope. Raises `ValueError`."""
    if not _SCOPE.fullmatch(text):
        raise ValueError("expected a scope of up to 64 letters, digits and :._/*-")
    return text


def readable_scopes(texts: Sequence[object]) -> tuple[str, ...]:
    """Return the valid scopes among ``texts``, sorted and distinct."""
    found = {text for text in texts if isinstance(text, str) and _SCOPE.fullmatch(text)}
    return tuple(sorted(found))


@lru_cache(maxsize=1024)
def limit_of(rate: int, window_s: int) -> Limit:
    """Return the limit of a key; equal limits are the same object."""
    return Limit("api-key", rate, window_s)


# --- records -----------------------------------------------------------------------------------


class KeySealer:
    """Seals records with the first of its keys, and opens those that any of them sealed."""

    def __init__(self, server_keys: Sequence[bytes]) -> None:
        self._keys = [hmac.digest(key, _SEALING, "sha256") for key in server_keys]

    def seal(self, key: ApiKey) -> bytes:
        """Encode a record for the store: 32 bytes of HMAC-SHA256, then JSON."""
        record = orjson.dumps(
            {
                "version": 1,
                "id": key.id,
                "name": key.name,
                "owner": key.owner,
                "secret_hash": key.secret_hash,
                "scopes": key.scopes,
                "rate": [key.limit.rate, key.limit.window_s] if key.limit else None,
                "created_at_ms": key.created_at_ms,
                "expires_at_ms": key.expires_at_ms,
                "revoked_at_ms": key.revoked_at_ms,
            }
        )
        return hmac.digest(self._keys[0], record, "sha256") + record

    def open(self, sealed: bytes, key_id: str) -> ApiKey | None:
        """Decode a record; None where none of our keys sealed it, or not for ``key_id``."""
        tag, record = sealed[:_TAG_BYTES], sealed[_TAG_BYTES:]
        matches = [
            hmac.compare_digest(tag, hmac.digest(key, record, "sha256")) for key in self._keys
        ]
        if not any(matches):
            return None
        fields = orjson.loads(record)
        if fields["version"] != 1 or fields["id"] != key_id:
            return None
        rate = fields["rate"]
        return ApiKey(
            id=key_id,
            name=fields["name"],
            owner=fields["owner"],
            secret_hash=fields["secret_hash"],
            scopes=tuple(fields["scopes"]),
            limit=limit_of(*rate) if rate else None,
            created_at_ms=fields["created_at_ms"],
            expires_at_ms=fields["expires_at_ms"],
            revoked_at_ms=fields["revoked_at_ms"],
        )


def _base32(octets: bytes) -> str:
    return b32encode(octets).decode().rstrip("=").lower()


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
