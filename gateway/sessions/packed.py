"""
The short form of a session record, for the usual session: a fixed part in bytes, then JSON.

A DID and a UUID take half their letters in bytes, and a time six bytes. A record that holds
anything else is written by `gateway.sessions.session` as JSON alone.
"""

import re
from struct import Struct
from typing import Any

import orjson

MARK = b"\x03"
"""First byte: the version of the record."""

_FIXED = Struct("!B6s6s6s20s5s16s")
"""Mark; when it expires, was created and proven; address, case of its letters, token."""

_ISSUER = re.compile(r"did:ethr:0x([0-9a-fA-F]{40})", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_TIME_BITS = 48

_CASES = [bytes(0x20 * (byte >> at & 1) for at in range(7, -1, -1)) for byte in range(256)]
"""What makes small letters large where a bit is set."""


def pack(members: tuple[Any, ...]) -> bytes | None:
    """Pack the members of a record without its version; None where they are of another kind."""
    issuer, email, address, phone, token_id, *times = members
    found = _ISSUER.fullmatch(issuer)
    is_usual = found is not None and _UUID.fullmatch(token_id) is not None
    if found is None or not is_usual or not all(0 <= time < 1 << _TIME_BITS for time in times):
        return None
    digits = found[1]
    cases = sum(1 << 39 - at for at, digit in enumerate(digits) if digit.isupper())
    fixed = _FIXED.pack(
        MARK[0],
        *(time.to_bytes(6, "big") for time in times),
        bytes.fromhex(digits),
        cases.to_bytes(5, "big"),
        bytes.fromhex(token_id.replace("-", "")),
    )
    return fixed + orjson.dumps((email, address, phone))


def unpack(record: bytes) -> list[Any]:
    """Return the members, without the version. Raises ValueError for a malformed record."""
    if len(record) < _FIXED.size:
        raise ValueError("session record is too short")
    _, expires, created, proven, address, cases, token = _FIXED.unpack_from(record)
    texts = orjson.loads(record[_FIXED.size :])
    if type(texts) is not list or len(texts) != 3:  # noqa: PLR2004 - email, address, phone
        raise ValueError("session record has other members")
    digits = token.hex()
    return [
        f"did:ethr:0x{_with_case(address, cases)}",
        *texts,
        f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}",
        int.from_bytes(expires, "big"),
        int.from_bytes(created, "big"),
        int.from_bytes(proven, "big"),
    ]


def _with_case(address: bytes, cases: bytes) -> str:
    """Return the digits of ``address``, large where ``cases`` says so."""
    a, b, c, d, e = cases
    mask = int.from_bytes(_CASES[a] + _CASES[b] + _CASES[c] + _CASES[d] + _CASES[e], "big")
    small = int.from_bytes(address.hex().encode(), "big")
    digits = (small ^ mask).to_bytes(40, "big").decode("ascii")
    if not digits.isalnum():
        raise ValueError("session record has a wrong issuer")
    return digits
