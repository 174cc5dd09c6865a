"""
Cache invalidations that gateways send to each other.

A message is the kind, a space, and a name. A gateway ignores a message that it cannot read: it is
of a later version.
"""

from enum import StrEnum

CHANNEL = "invalidate"
"""Pub/sub channel of the store; the configured prefix stands before it, as before every key."""


class InvalidationKind(StrEnum):
    """The kind of thing that changed; the comment says what the name is."""

    SESSION = "session"  # its key in the store
    REVOKED = "revoked"  # the issuer whose epoch was moved
    USER = "user"  # the issuer whose metadata changed
    ROLES = "roles"  # the issuer whose roles changed
    API_KEY = "api-key"  # its id
    LIMIT = "limit"  # the name of the limit, a space, and the caller whose count or rate was set
    HOOKS = (
        "hooks"  # the endpoint whose letters were replayed; "recorded": a command told of events
    )
    LIMIT_LIST = "limit-list"  # the limit whose deny or allow list changed


def encode(kind: InvalidationKind, name: str) -> bytes:
    """Encode a message about ``name``."""
    return f"{kind} {name}".encode()


def decode(message: bytes) -> tuple[InvalidationKind, str] | None:
    """Decode a message into kind and name; None for one of another version."""
    try:
        word, space, name = message.decode().partition(" ")
        return (InvalidationKind(word), name) if space and name else None
    except ValueError:  # UnicodeDecodeError is one
        return None
