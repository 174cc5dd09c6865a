"""
The record ``user:{issuer}``, which apps read: the members of Magic's ``MagicUserMetadata``.

What a gateway adds stands beside them, in the member ``gateway``. Its seal is an HMAC: a record
that no gateway has written, or that was altered, makes no issuer a user. Records of the previous
version, with other names, are read too.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from gateway.core.identity import Standing, User
from gateway.users.metadata import Record, instant_ms, user_of

_NAMES: Final = {
    "issuer": "issuer",
    "publicAddress": "public_address",
    "email": "email",
    "oauthProvider": "oauth_provider",
    "phoneNumber": "phone",
    "username": "username",
}
"""Members of the record, in order, and what they are called here."""

_WALLET_NAMES: Final = {
    "network": "network",
    "publicAddress": "public_address",
    "walletType": "wallet_type",
}

_OLD_TEXTS: Final = ("email", "public_address", "phone", "oauth_provider", "username")
_OLD_WALLET_TEXTS: Final = ("network", "public_address", "wallet_type")


class AppRecordText(NamedTuple):
    """The text of a record, without its end, which stands between the two parts."""

    before: bytes
    after: bytes

    def until(self, ends_at_ms: int) -> bytes:
        """Return the whole text of a record that ends then (Unix time in milliseconds)."""
        return b"%b%d%b" % (self.before, ends_at_ms, self.after)


class AppRecord(NamedTuple):
    """A record as it was read, and its seal, which is not verified yet."""

    record: Record
    standing: Standing
    seal: str
    """Empty for a record that no gateway wrote."""
    until_ms: int
    """When it ends; 0 where it does not say so."""
    is_old: bool = False
    """Whether the previous version wrote it."""


class AppRecordSealer:
    """Seals records with the first of the server's keys, and accepts the seals of all of them."""

    def __init__(self, server_keys: Sequence[bytes]) -> None:
        self._keys = [
            hmac.digest(key, b"gateway: metadata of users", "sha256") for key in server_keys
        ]

    def encode(self, record: Record, standing: Standing) -> AppRecordText:
        """Encode a record for the store, with its seal."""
        members = _members(record, standing)
        seal = _seal(members, self._keys[0])
        ours = {"seal": seal, **members["gateway"], "until": 0}
        text = orjson.dumps({**members, "gateway": ours})
        return AppRecordText(text.removesuffix(b"0}}"), b"}}")

    def is_ours(self, stored: AppRecord) -> bool:
        """Whether the seal was made with one of our keys, for this record."""
        members = _old_members if stored.is_old else _members
        sealed = members(stored.record, stored.standing)
        seal = stored.seal.encode("utf-8", "surrogatepass")
        return any(hmac.compare_digest(seal, _seal(sealed, key).encode()) for key in self._keys)

    def decode(self, text: bytes, issuer: str) -> Record | None:
        """Decode a record of ``issuer``; None for one that no gateway has sealed."""
        stored = parse(text, issuer)
        return stored.record if stored is not None and self.is_ours(stored) else None


def parse(text: bytes, issuer: str) -> AppRecord | None:
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
    return _parsed_old(members) if "fetched_at_ms" in members else _parsed(members)


def is_due(told: bytes | None, record: Record, standing: Standing, ends_at_ms: int) -> bool:
    """
    Whether the record ``told`` has to be written again, for a proof that ends then; 0 for none.

    Not where an app keeps a record of its own.
    """
    if told is None:
        return ends_at_ms > 0
    stored = parse(told, record.user.issuer)
    if stored is None or not stored.seal:
        return False
    said = stored.record.user, stored.standing
    return stored.is_old or stored.until_ms < ends_at_ms or said != (record.user, standing)


def apps_user(user: User) -> dict[str, Any]:
    """Return the members that apps read of ``user``."""
    return {
        **_renamed(user, _NAMES),
        "wallets": [_renamed(each, _WALLET_NAMES) for each in user.wallets],
    }


def _parsed(members: dict[str, Any]) -> AppRecord:
    ours = members.get("gateway")
    if not isinstance(ours, dict):
        ours = {}
    named = {ours_name: members.get(name) for name, ours_name in _NAMES.items()}
    wallets = members.get("wallets")
    named["wallets"] = [
        {ours_name: each.get(name) for name, ours_name in _WALLET_NAMES.items()}
        for each in (wallets if isinstance(wallets, list) else ())
        if isinstance(each, dict)
    ]
    record = Record(user_of(members["issuer"], named), instant_ms(ours.get("fetchedAt")))
    standing = Standing(_words(ours.get("roles")), _words(ours.get("permissions")))
    return AppRecord(record, standing, _text(ours.get("seal")), instant_ms(ours.get("until")))


def _parsed_old(members: dict[str, Any]) -> AppRecord:
    record = Record(user_of(members["issuer"], members), instant_ms(members["fetched_at_ms"]))
    return AppRecord(record, Standing(), _text(members.get("seal")), 0, is_old=True)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _words(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(each for each in value if isinstance(each, str))


def _members(record: Record, standing: Standing) -> dict[str, Any]:
    """Return what is sealed: the whole record, without seal and end."""
    return {
        **apps_user(record.user),
        "gateway": {"fetchedAt": record.fetched_at_ms, **standing._asdict()},
    }


def _old_members(record: Record, _: Standing) -> dict[str, Any]:
    user = record.user
    return {
        "issuer": user.issuer,
        **{name: getattr(user, name) for name in _OLD_TEXTS},
        "wallets": [
            {name: getattr(each, name) for name in _OLD_WALLET_TEXTS} for each in user.wallets
        ],
        "fetched_at_ms": record.fetched_at_ms,
    }


def _renamed(of: object, names: dict[str, str]) -> dict[str, Any]:
    return {name: getattr(of, ours_name) for name, ours_name in names.items()}


def _seal(members: dict[str, Any], key: bytes) -> str:
    """Compute the HMAC over the members in order, as JSON, in base64url (RFC 4648 section 5)."""
    code = hmac.digest(key, orjson.dumps(members), "sha256")
    return urlsafe_b64encode(code).decode().rstrip("=")
