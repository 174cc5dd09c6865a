"""
The record ``user:{issuer}``: what Magic knows of a user, as JSON that apps may read.

Apps read the members; gateways also look at the seal. Who is a user follows from this record, so
one that no gateway has written, or that was altered, is none: Magic is asked again.
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
"""More than anybody has of Magic's networks; what is beyond is left out."""

_TEXTS: Final = ("email", "public_address", "phone", "oauth_provider", "username")
_WALLET_TEXTS: Final = ("network", "public_address", "wallet_type")

_FRESH_SHARE: Final = 0.8
"""Of its life, for which a record is served without a thought for the next one."""

_CLOCKS_APART_S: Final = 60.0
"""By how much another gateway's clock may be ahead."""

_LATEST_MS: Final = 2**53


class Record(NamedTuple):
    """What Magic has said of somebody, and when, in Unix milliseconds."""

    user: User
    fetched_at_ms: int


class SealedRecord(NamedTuple):
    """A record as it was read, and the seal on it, which may be anything."""

    record: Record
    seal: str


class RecordAge(Enum):
    """What a record is still good for."""

    FRESH = auto()
    AGEING = auto()
    """Served, and asked for anew meanwhile."""
    OLD = auto()
    """Served only where Magic cannot be asked."""
    DEAD = auto()


class RecordLifetimes(NamedTuple):
    """How long Magic's word is taken, in seconds."""

    ttl_s: float
    stale_s: float = 0.0
    """Beyond ``ttl_s``, for as long as Magic does not answer."""

    def age(self, record: Record, now_s: float) -> RecordAge:
        """What ``record`` is good for now. One from the far future is asked for anew, too."""
        age_s = now_s - record.fetched_at_ms / 1000
        if -_CLOCKS_APART_S <= age_s < self.ttl_s * _FRESH_SHARE:
            return RecordAge.FRESH
        if age_s < self.ttl_s:
            return RecordAge.AGEING
        return RecordAge.OLD if age_s < self.ttl_s + self.stale_s else RecordAge.DEAD

    def expires_at_ms(self, record: Record) -> int:
        """When it leaves the store, if all goes well."""
        return record.fetched_at_ms + round(self.ttl_s * 1000)

    def ends_at_ms(self, record: Record) -> int:
        """When it leaves the store if Magic does not answer."""
        return self.expires_at_ms(record) + round(self.stale_s * 1000)


class RecordSealer:
    """Seals records with the first of the server's keys, and believes those of all of them."""

    def __init__(self, server_keys: Sequence[bytes]) -> None:
        self._keys = [
            hmac.digest(key, b"gateway: metadata of users", "sha256") for key in server_keys
        ]

    def encode(self, record: Record) -> bytes:
        """The record as it is stored."""
        return orjson.dumps({**_members(record), "seal": _seal(record, self._keys[0])})

    def is_ours(self, stored: SealedRecord) -> bool:
        """Whether a gateway with one of our keys wrote it, as it is, for its issuer."""
        said = stored.seal.encode("utf-8", "surrogatepass")
        return any(
            hmac.compare_digest(said, _seal(stored.record, key).encode()) for key in self._keys
        )

    def decode(self, text: bytes, issuer: str) -> Record | None:
        """What a gateway wrote of ``issuer``; None for anything else."""
        stored = parse(text, issuer)
        return stored.record if stored is not None and self.is_ours(stored) else None


def parse(text: bytes, issuer: str) -> SealedRecord | None:
    """
    The record in ``text``, whoever wrote it; None if it is unreadable or about somebody else.

    Members that are not known here are ignored: others may have added them.
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
    """The user that these members describe; what is not readable text counts as absent."""
    texts = {name: printable_text(members.get(name)) for name in _TEXTS}
    return User(issuer, **texts, wallets=tuple(_wallets(members.get("wallets"))))


def _wallets(value: object) -> Iterable[Wallet]:
    """The readable ones of a list of objects."""
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
    """HMAC over the members in their order, as JSON, in base64url (RFC 4648 section 5)."""
    code = hmac.digest(key, orjson.dumps(_members(record)), "sha256")
    return urlsafe_b64encode(code).decode().rstrip("=")
