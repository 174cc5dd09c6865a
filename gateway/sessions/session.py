"""Session records: their JSON form, and when a session expires."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import orjson

from gateway.core.identity import AuthMethod, Identity, User

VERSION = 2
"""Version of the record's form. Later ones are not read: their users sign in again."""

TEXT = (str,)
TEXT_OR_NULL = (str, type(None))
WHOLE = (int,)

FIELDS: dict[str, tuple[type, ...]] = {
    "version": WHOLE,
    "issuer": TEXT,
    "email": TEXT_OR_NULL,
    "public_address": TEXT_OR_NULL,
    "phone": TEXT_OR_NULL,
    "token_id": TEXT,
    "expires_at_ms": WHOLE,
    "created_at_ms": WHOLE,
    "proven_at_ms": WHOLE,
}
"""The record: a JSON object with exactly these members, of exactly these types."""

_USUAL_SHAPES = frozenset((*FIELDS, *types) for types in product(*FIELDS.values()))
"""The members in the order of `encode`, then their types: all that `_check` allows, in one look."""

FIELDS_OF_VERSION_1 = {name: types for name, types in FIELDS.items() if name != "proven_at_ms"}
"""Records without a time of proof, which is read as 0: any revocation ends such sessions."""


@dataclass(frozen=True, slots=True)
class Session:
    """An identity whose method is SESSION, and when its token was exchanged (Unix time)."""

    identity: Identity
    created_at_ms: int


def encode(session: Session) -> bytes:
    """Encode the record of ``session``; its key is not part of it."""
    identity = session.identity
    return orjson.dumps(
        {
            "version": VERSION,
            "issuer": identity.user.issuer,
            "email": identity.user.email,
            "public_address": identity.user.public_address,
            "phone": identity.user.phone,
            "token_id": identity.token_id,
            "expires_at_ms": identity.expires_at_ms,
            "created_at_ms": session.created_at_ms,
            "proven_at_ms": identity.proven_at_ms,
        }
    )


def decode(record: bytes, session_key: str) -> Session:
    """Decode the record at ``session_key``. Raises ValueError if it is malformed."""
    members = orjson.loads(record)  # its JSONDecodeError is a ValueError
    _check(members)
    user = User(members["issuer"], members["email"], members["public_address"], members["phone"])
    identity = Identity(
        user=user,
        method=AuthMethod.SESSION,
        token_id=members["token_id"],
        expires_at_ms=members["expires_at_ms"],
        session_key=session_key,
        proven_at_ms=members.get("proven_at_ms", 0),
    )
    return Session(identity, members["created_at_ms"])


def _check(members: Any) -> None:
    if type(members) is not dict:
        raise ValueError("session record is no object")
    version = members.get("version")
    if version == VERSION and (*members, *map(type, members.values())) in _USUAL_SHAPES:
        return
    fields = FIELDS_OF_VERSION_1 if version == 1 else FIELDS
    if members.keys() != fields.keys():
        raise ValueError("session record has other members")
    for name, types in fields.items():
        if type(members[name]) not in types:  # not isinstance: True is no time
            raise ValueError(f"session record has a wrong {name}")
    if version not in (1, VERSION):
        raise ValueError("session record is of another version")


def expiry_ms(identity: Identity, lifetime_cap_s: float | None, now_ms: int) -> int:
    """
    Compute when a session that is created now expires, in Unix milliseconds.

    That is never later than its DID token, and earlier if the config caps it.
    """
    if lifetime_cap_s is None:
        return identity.expires_at_ms
    return min(identity.expires_at_ms, now_ms + round(lifetime_cap_s * 1000))
