"""
Shapes of the store's replies: what a command or script may reply.

A reply of another shape is of another command. `gateway.store` hands none of its batch on then.
"""

from collections.abc import Callable

Shape = Callable[[object], bool]
"""Whether a reply has a shape. An error is no reply: its callers are told of it."""

_BYTES, _BYTES_OR_NONE, _INT = frozenset({bytes}), frozenset({bytes, type(None)}), frozenset({int})


def is_any(_: object) -> bool:
    """Accept every reply."""
    return True


def is_count(reply: object) -> bool:
    """Accept a whole number."""
    return type(reply) is int


def is_ok(reply: object) -> bool:
    """Accept the reply of a command that was carried out."""
    return reply == b"OK"


def is_ok_or_nil(reply: object) -> bool:
    """Accept the reply of a SET with a condition."""
    return reply is None or reply == b"OK"


def is_pong(reply: object) -> bool:
    """Accept the reply of PING."""
    return reply == b"PONG"


def is_text(reply: object) -> bool:
    """Accept a value."""
    return type(reply) is bytes


def is_text_or_nil(reply: object) -> bool:
    """Accept a value, or None for no value."""
    return reply is None or type(reply) is bytes


def is_texts(reply: object) -> bool:
    """Accept a list of values."""
    return type(reply) is list and _BYTES.issuperset(map(type, reply))


def is_pairs(reply: object) -> bool:
    """Accept a list of names and values in turn, as of HGETALL."""
    return is_texts(reply) and type(reply) is list and len(reply) % 2 == 0


def are_values(count: int, reply: object) -> bool:
    """Whether ``reply`` is that of an MGET of ``count`` keys."""
    if type(reply) is not list or len(reply) != count:
        return False
    return _BYTES_OR_NONE.issuperset(map(type, reply))


def are_counts(count: int, reply: object) -> bool:
    """Whether ``reply`` is a list of ``count`` whole numbers."""
    if type(reply) is not list or len(reply) != count:
        return False
    return _INT.issuperset(map(type, reply))
