"""
User metadata from Magic: the record ``user:{issuer}``, sealed JSON that apps may read.

Apps read the members; gateways also check the seal (an HMAC). The record decides whether an issuer
is a user. So a record that no gateway has written, or that was altered, is ignored, and Magic is
asked.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Any, Final, NamedTuple

import orjson

from gateway.core.identity import User, Wallet
from gateway.core.text import printable_text

MAX_WALLETS: Final = 32
"""Most wallets of a record, more than Magic has networks; further ones are left out."""

_TEXTS: Final = ("email", "public_address", "phone", "oauth_provider", "username")
_WALLET_TEXTS: Final = ("network", "public_address", "wallet_type")

_FRESH_SHARE: Final = 0.8
"""Share of its lifetime for which a record is served without a refresh."""

_CLOCKS_APART_S: Final = 60.0
"""How far another gateway's clock may be ahead."""

_LATEST_MS: Final = 2**53


class Record(NamedTuple):
    """Metadata of a user, and when Magic returned it, in Unix milliseconds."""

    user: User
    fetched_at_ms: int


class SealedRecord(NamedTuple):
    """A record as it was read, and its seal, which is not verified yet."""

    record: Record
    seal: str


class RecordAge(Enum):
    """Age of a record, which decides its use."""

    FRESH = auto()
    AGEING = auto()
    """Served, and refreshed in the background."""
    OLD = auto()
    """Served only while Magic is unavailable."""
    DEAD = auto()
    """Never served."""


class RecordLifetimes(NamedTuple):
    """Lifetimes of records, in seconds."""

    ttl_s: float
    stale_s: float = 0.0
    """Extra lifetime beyond ``ttl_s`` while Magic is unavailable."""

    def age(self, record: Record, now_s: float) -> RecordAge:
        """Return the age of ``record``. One from the far future is refreshed, too."""
        age_s = now_s - record.fetched_at_ms / 1000
        if -_CLOCKS_APART_S <= age_s < self.ttl_s * _FRESH_SHARE:
            return RecordAge.FRESH
        if age_s < self.ttl_s:
            return RecordAge.AGEING
        return RecordAge.OLD if age_s < self.ttl_s + self.stale_s else RecordAge.DEAD

    def expires_at_ms(self, record: Record) -> int:
        """Return when the record expires in the store, in Unix milliseconds."""
        return record.fetched_at_ms + round(self.ttl_s * 1000)

    def ends_at_ms(self, record: Record) -> int:
        """Return when the record expires in the store while Magic is unavailable."""
        return self.expires_at_ms(record) + round(self.stale_s * 1000)


class RecordSealer:
    """Seals records with the first of the server's keys, and accepts the seals of all of them."""

    def __init__(self, server_keys: Sequence[bytes]) -> None:
        self._keys = [
            hmac.digest(key, b"gateway: metadata of users", "sha256") for key in server_keys
        ]

    def encode(self, record: Record) -> bytes:
        """Encode a record for the store, with its seal."""
        return orjson.dumps({**_members(record), "seal": _seal(record, self._keys[0])})

    def is_ours(self, stored: SealedRecord) -> bool:
        """Whether the seal was made with one of our keys, for this record."""
        seal = stored.seal.encode("utf-8", "surrogatepass")
        return any(
            hmac.compare_digest(seal, _seal(stored.record, key).encode()) for key in self._keys
        )

    def decode(self, text: bytes, issuer: str) -> Record | None:
        """Decode a record of ``issuer``; None for one that no gateway has sealed."""
        stored = parse(text, issuer)
        return stored.record if stored is not None and self.is_ours(stored) else None


def parse(text: bytes, issuer: str) -> SealedRecord | None:
    """
    Parse a record without verifying its seal; None if it is unreadable or of another issuer.

    Unknown members are ignored: a later version, or an app, may have added them.
    """
    try:
        members = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(members, dict) or members.get("issuer") != issuer:
        return None
    fetched_at_ms, seal = members.get("fetched_at_ms"), members.get("seal")
    if type(fetched_at_ms) is not int or not 0 <= fetched_at_ms <= _LATEST_MS:
        fetched_at_ms = 0
    record = Record(user_of(issuer, members), fetched_at_ms)
    return SealedRecord(record, seal if isinstance(seal, str) else "")


def user_of(issuer: str, members: dict[str, Any]) -> User:
    """Build the user that these members describe; values that are no printable text are dropped."""
    texts = {name: printable_text(members.get(name)) for name in _TEXTS}
    return User(issuer, **texts, wallets=tuple(_wallets(members.get("wallets"))))


def _wallets(value: object) -> Iterable[Wallet]:
    """Yield the readable wallets of a list of objects."""
    for entry in value[:MAX_WALLETS] if isinstance(value, list) else ():
        if isinstance(entry, dict):
            wallet = Wallet(*(printable_text(entry.get(name)) for name in _WALLET_TEXTS))
            if wallet.public_address is not None:
                yield wallet


def _members(record: Record) -> dict[str, Any]:
    user = record.user
    return {
        "issuer": user.issuer,
        **{name: getattr(user, name) for name in _TEXTS},
        "wallets": [{name: getattr(each, name) for name in _WALLET_TEXTS} for each in user.wallets],
        "fetched_at_ms": record.fetched_at_ms,
    }


def _seal(record: Record, key: bytes) -> str:
    """Compute the HMAC over the members in order, as JSON, in base64url (RFC 4648 section 5)."""
    code = hmac.digest(key, orjson.dumps(_members(record)), "sha256")
    return urlsafe_b64encode(code).decode().rstrip("=")
