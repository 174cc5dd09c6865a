"""
Values that are not UTF-8, in a form that can travel in JSON, and says that it is one.

A REST API of a store takes commands as JSON, which has no bytes. Armoured values stand in the store
as they are: gateways that reach it over the Redis protocol read them, too, and the other way round.
The form is that of a data URL (RFC 2397) without a type.
"""

import base64
import binascii

_MARK = "data:;base64,"
_MARK_BYTES = _MARK.encode("ascii")


def armour(value: bytes) -> str:
    """Return ``value`` as text; armoured if it is not UTF-8, or looks as if it were armoured."""
    if not value.startswith(_MARK_BYTES):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return _MARK + base64.b64encode(value).decode("ascii")


def bare(value: bytes) -> bytes:
    """Return the value that `armour` was given; any that it did not write stays as it is."""
    if not value.startswith(_MARK_BYTES):
        return value
    try:
        return base64.b64decode(value[len(_MARK) :], validate=True)
    except binascii.Error:
        return value
