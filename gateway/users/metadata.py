"""User metadata from Magic: what is known of a user, since when, and for how long it is used."""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from gateway.core.identity import User, Wallet
from gateway.core.text import printable_text

MAX_WALLETS: Final = 32
"""Most wallets of a record, more than Magic has networks; further ones are left out."""

LATEST_MS: Final = 2**53
"""No later time is believed, in Unix milliseconds: JavaScript counts no further."""

_TEXTS: Final = ("email", "public_address", "phone", "oauth_provider", "username")
_WALLET_TEXTS: Final = ("network", "public_address", "wallet_type")

_FRESH_SHARE: Final = 0.8
"""Share of its lifetime for which a record is served without a refresh."""

_CLOCKS_APART_S: Final = 60.0
"""How far another gateway's clock may be ahead."""


class Record(NamedTuple):
    """Metadata of a user, and when Magic returned it, in Unix milliseconds."""

    user: User
    fetched_at_ms: int


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

    def ends_at_ms(self, record: Record) -> int:
        """Return until when the record can be of use, in Unix milliseconds."""
        return record.fetched_at_ms + round((self.ttl_s + self.stale_s) * 1000)


def user_of(issuer: str, members: dict[str, Any]) -> User:
    """Build the user that these members describe; values that are no printable text are dropped."""
    texts = {name: printable_text(members.get(name)) for name in _TEXTS}
    return User(issuer, **texts, wallets=tuple(_wallets(members.get("wallets"))))


def instant_ms(value: object) -> int:
    """Return ``value`` if it is a time in Unix milliseconds, else 0."""
    return value if type(value) is int and 0 <= value <= LATEST_MS else 0


def _wallets(value: object) -> Iterable[Wallet]:
    """Yield the readable wallets of a list of objects."""
    for entry in value[:MAX_WALLETS] if isinstance(value, list) else ():
        if isinstance(entry, dict):
            wallet = Wallet(*(printable_text(entry.get(name)) for name in _WALLET_TEXTS))
            if wallet.public_address is not None:
                yield wallet
