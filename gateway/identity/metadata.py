"""The record ``user:{issuer}``: what Magic knows of a user, as JSON that apps may read."""

import orjson

from gateway.messages import User

MAX_TEXT_CHARS = 512
"""An address has at most 254 (RFC 5321 section 4.5.3.1.3); the value ends up in a header."""


def readable(value: object) -> str | None:
    """
    ``value`` if it is text that can stand in a header and in a log line, else None.

    Control characters (CR, LF, NUL, DEL), other line ends and text-direction marks disqualify all
    of it: a cleaned address would be somebody else's.
    """
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARS and value.isprintable():
        return value
    return None


def encode_user(user: User) -> bytes:
    return orjson.dumps(
        {
            "issuer": user.issuer,
            "email": user.email,
            "public_address": user.public_address,
            "phone": user.phone,
        }
    )


def decode_user(record: bytes, issuer: str) -> User | None:
    """
    The user in ``record``; None if it is unreadable or about somebody else than ``issuer``.

    Fields that are not known here are ignored: others may have added them.
    """
    try:
        fields = orjson.loads(record)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or fields.get("issuer") != issuer:
        return None
    return User(
        issuer=issuer,
        email=readable(fields.get("email")),
        public_address=readable(fields.get("public_address")),
        phone=readable(fields.get("phone")),
    )
