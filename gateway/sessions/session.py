"""Session records: their JSON form, and when a session expires."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import orjson

from gateway.core.identity import AuthMethod, Identity, User
from gateway.sessions.packed import MARK, pack, unpack

VERSION = 3
"""Version of the record's form. Later ones are not read: their users sign in again."""

_DID = "did:ethr:"

OWN_ADDRESS = 1
"""Stands for the public address where that is the one of the issuer, as it mostly is."""

TEXT = (str,)
TEXT_OR_NULL = (str, type(None))
WHOLE = (int,)

_MEMBERS: tuple[tuple[type, ...], ...] = (
    WHOLE,  # the version
    TEXT,  # the issuer
    TEXT_OR_NULL,  # the email address
    (str, type(None), int),  # the public address; int for `OWN_ADDRESS`
    TEXT_OR_NULL,  # the phone number
    TEXT,  # the token's id
    WHOLE,  # when it expires
    WHOLE,  # when it was created
    WHOLE,  # when its proof was made
)
"""The record: these members, of exactly these types, as a JSON array or in a shorter form."""

_USUAL_SHAPES = frozenset(product(*_MEMBERS))
"""All types of members that are allowed, in one look."""

FIELDS_OF_VERSION_2: dict[str, tuple[type, ...]] = {
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
"""Records of the previous version: a JSON object, with twice as many bytes."""

FIELDS_OF_VERSION_1 = {
    name: types for name, types in FIELDS_OF_VERSION_2.items() if name != "proven_at_ms"
}
"""Records without a time of proof, which is read as 0: any revocation ends such sessions."""


@dataclass(frozen=True, slots=True)
class Session:
    """An identity whose method is SESSION, and when its token was exchanged (Unix time)."""

    identity: Identity
    created_at_ms: int


def encode(session: Session) -> bytes:
    """Encode the record of ``session``; its key is not part of it."""
    identity = session.identity
    user = identity.user
    is_own = bool(user.public_address) and user.public_address == _address_in(user.issuer)
    members = (
        user.issuer,
        user.email,
        OWN_ADDRESS if is_own else user.public_address,
        user.phone,
        identity.token_id,
        identity.expires_at_ms,
        session.created_at_ms,
        identity.proven_at_ms,
    )
    return pack(members) or orjson.dumps((VERSION, *members))


def decode(record: bytes, session_key: str) -> Session:
    """Decode the record at ``session_key``. Raises ValueError if it is malformed."""
    members: Any  # the JSONDecodeError of orjson is a ValueError
    members = [VERSION, *unpack(record)] if record.startswith(MARK) else orjson.loads(record)
    if type(members) is dict:
        members = _members_of_object(members)
    elif type(members) is not list or tuple(map(type, members)) not in _USUAL_SHAPES:
        raise ValueError("session record has other members")
    version, issuer, email, address, phone, token_id, expires_at_ms, created_at_ms, proven = members
    if version != VERSION:
        raise ValueError("session record is of another version")
    if type(address) is int:
        address = _own_address(address, issuer)
    identity = Identity(
        user=User(issuer, email, address, phone),
        method=AuthMethod.SESSION,
        token_id=token_id,
        expires_at_ms=expires_at_ms,
        session_key=session_key,
        proven_at_ms=proven,
    )
    return Session(identity, created_at_ms)


def _own_address(mark: int, issuer: str) -> str:
    address = _address_in(issuer)
    if mark != OWN_ADDRESS or not address:
        raise ValueError("session record has a wrong address")
    return address


def _address_in(issuer: str) -> str:
    """Return the address in ``did:ethr:0x…``; empty for another issuer."""
    return issuer.removeprefix(_DID) if issuer.startswith(_DID) else ""


def _members_of_object(members: dict[str, Any]) -> list[Any]:
    """Return the members of a record of an earlier version, in the order of this one."""
    version = members.get("version")
    fields = FIELDS_OF_VERSION_1 if version == 1 else FIELDS_OF_VERSION_2
    if members.keys() != fields.keys():
        raise ValueError("session record has other members")
    for name, types in fields.items():
        if type(members[name]) not in types:  # not isinstance: True is no time
            raise ValueError(f"session record has a wrong {name}")
    if version not in (1, 2):
        raise ValueError("session record is of another version")
    known = {"proven_at_ms": 0} | members | {"version": VERSION}
    return [known[name] for name in FIELDS_OF_VERSION_2]


def expiry_ms(identity: Identity, lifetime_cap_s: float | None, now_ms: int) -> int:
    """
    Compute when a session that is created now expires, in Unix milliseconds.

    That is never later than its DID token, and earlier if the config caps it.
    """
    if lifetime_cap_s is None:
        return identity.expires_at_ms
    return min(identity.expires_at_ms, now_ms + round(lifetime_cap_s * 1000))
