"""
What the gateways' memories must forget, as it is told from one to all others.

A message is the subject's word, a space, and a name. Who cannot read one passes it over: it is of a
later version.
"""

from enum import StrEnum

CHANNEL = "invalidate"
"""Of the store's pub/sub; the configured prefix stands before it, as before every key."""


class InvalidationKind(StrEnum):
    """What kind of thing has changed; the comment says what names it."""

    SESSION = "session"  # its key in the store
    REVOKED = "revoked"  # the issuer whose epoch was moved
    USER = "user"  # the issuer whose metadata changed
    ROLES = "roles"  # the issuer whose roles changed
    API_KEY = "api-key"  # its id


def encode(subject: InvalidationKind, name: str) -> bytes:
    """The message about ``name``."""
    return f"{subject} {name}".encode()


def decode(message: bytes) -> tuple[InvalidationKind, str] | None:
    """Subject and name; None for what is no message of this version."""
    try:
        word, space, name = message.decode().partition(" ")
        return (InvalidationKind(word), name) if space and name else None
    except ValueError:  # UnicodeDecodeError is one
        return None
