"""The format of the record ``roles:{issuer}``, which apps may write."""

import re

import orjson

MAX_RECORD_BYTES = 16 << 10
MAX_ROLES = 64

ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
"""No comma, no space: the roles of a caller stand in one header field, separated by commas."""


def key(issuer: str) -> str:
    """Return the key of the roles of ``issuer``."""
    return f"roles:{issuer}"


def decode_roles(record: bytes) -> tuple[str, ...]:
    """
    Return the roles in ``record``, a JSON array of strings or a list with commas, sorted.

    Raises `ValueError` if any part of it is invalid: a deny rule could depend on that part.
    """
    if len(record) > MAX_RECORD_BYTES:
        raise ValueError("record is too long")
    text = record.decode()
    names: object = orjson.loads(text) if text.lstrip().startswith("[") else _listed(text)
    if not isinstance(names, list) or len(names) > MAX_ROLES:
        raise ValueError("no list of roles, or too many of them")
    if not all(isinstance(name, str) and ROLE.fullmatch(name) for name in names):
        raise ValueError("no name of a role")
    return tuple(sorted(set(names)))


def encode_roles(roles: tuple[str, ...]) -> bytes:
    """Write the record of ``roles``."""
    return orjson.dumps(sorted(roles))


def _listed(text: str) -> list[str]:
    names = text.strip()
    return [name.strip() for name in names.split(",")] if names else []
