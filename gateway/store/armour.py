"""
Values that are not UTF-8, in a form that can travel in JSON, and says that it is one.

A REST API of a store takes commands as JSON, which has no bytes. Armoured values stand in the store
as they are: gateways that reach it over the Redis protocol read them, too, and the other way round.
The form is that of a data URL (RFC 2397) without a type. What a script compares with a value, or
puts into one, may stand there in either form.
"""

import base64
import binascii

_MARK = "data:;base64,"
_MARK_BYTES = _MARK.encode("ascii")
FIRST_BYTE = _MARK_BYTES[0]
"""Of each armoured value."""


def armour(value: bytes) -> str:
    """Return ``value`` as text; armoured if it is not UTF-8, or looks as if it were armoured."""
    if not value.startswith(_MARK_BYTES):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return _MARK + base64.b64encode(value).decode("ascii")


def plain(value: bytes) -> bytes:
    """Return ``value`` as it is stored where bytes can travel: armoured only if it looks so."""
    return armour(value).encode("ascii") if value.startswith(_MARK_BYTES) else value


def bare(value: bytes) -> bytes:
    """Return the value that `armour` was given; any that it did not write stays as it is."""
    if not value.startswith(_MARK_BYTES):
        return value
    try:
        return base64.b64decode(value[len(_MARK) :], validate=True)
    except binascii.Error:
        return value
