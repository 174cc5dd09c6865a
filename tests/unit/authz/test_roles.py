"""The format of the record in which apps write roles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.roles import (
    MAX_RECORD_BYTES,
    MAX_ROLES,
    decode_roles,
    encode_roles,
    key,
)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b'["beta", "admin"]', ("admin", "beta")),
        (b'["a","a"]', ("a",)),
        (b"[]", ()),
        (b"", ()),
        (b"  ", ()),
        (b"admin", ("admin",)),
        (b" admin , beta ", ("admin", "beta")),
        (b"org/team:lead.x-1_2", ("org/team:lead.x-1_2",)),
    ],
)
def test_readable_records(record: bytes, expected: tuple[str, ...]) -> None:
    """A JSON array or a list with commas is read; sorted, each role once."""
    assert expected == decode_roles(record)


@pytest.mark.parametrize(
    "record",
    [
        b'["admin"',
        b'["admin", 7]',
        b'["admin", ""]',
        b'["a b"]',
        b'["a,b"]',
        b'["admin\\r\\nX-User-Issuer: forged"]',
        b'["\\u0430dmin"]',
        b'{"roles": ["admin"]}',
        b"admin,,beta",
        b"admin;beta",
        b"\xff",
        b"a" * 65,
        b",".join([b"a"] * (MAX_ROLES + 1)),
        b" " * (MAX_RECORD_BYTES + 1),
        b"[" * 5000,
    ],
)
def test_unreadable_records(record: bytes) -> None:
    """They are refused as a whole: a deny rule could depend on the unreadable part."""
    with pytest.raises(ValueError):  # noqa: PT011 - every ValueError counts
        decode_roles(record)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", fullmatch=True)


@given(st.lists(NAMES, max_size=MAX_ROLES))
def test_written_roles_can_be_read(names: list[str]) -> None:
    """The gateway reads the records of its command, and lists that apps join by commas."""
    roles = tuple(sorted(set(names)))
    assert roles == decode_roles(encode_roles(roles))
    assert roles == decode_roles(",".join(roles).encode())


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(record: bytes) -> None:
    """No bytes in Redis raise another error."""
    try:
        roles = decode_roles(record)
    except ValueError:
        return
    assert all(name.isascii() and "," not in name and name.isprintable() for name in roles)


def test_key() -> None:
    """The key is part of the contract with apps."""
    assert "roles:did:ethr:0x1" == key("did:ethr:0x1")
