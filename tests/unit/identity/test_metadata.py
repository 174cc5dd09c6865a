"""The record that gateways and apps share."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.metadata import MAX_TEXT_CHARS, decode_user, encode_user, readable
from gateway.messages import User
from tests.fakes.tokens import ALICE

USER = User(ALICE.issuer, "alice@example.com", ALICE.address, "+4930123456")


def test_fields() -> None:
    """An app finds these names, in plain JSON."""
    assert json.loads(encode_user(USER)) == {
        "issuer": ALICE.issuer,
        "email": "alice@example.com",
        "public_address": ALICE.address,
        "phone": "+4930123456",
    }


@pytest.mark.parametrize("user", [USER, User(ALICE.issuer)])
def test_round_trip(user: User) -> None:
    """What was written is read."""
    assert user == decode_user(encode_user(user), ALICE.issuer)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff", id="bytes"),
        pytest.param(b"[" * 10_000, id="deep"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"{}", id="about-nobody"),
        pytest.param(b'{"issuer": null}', id="about-null"),
        pytest.param(encode_user(User("did:ethr:0x" + "0" * 40)), id="about-another"),
        pytest.param(encode_user(User(ALICE.issuer.lower())), id="about-another-spelling"),
    ],
)
def test_unusable(record: bytes) -> None:
    """A record that cannot be read, or is about somebody else, is none."""
    assert decode_user(record, ALICE.issuer) is None


def test_odd_fields_are_dropped() -> None:
    """Fields of others do no harm; ours, if not readable text, count as absent."""
    record = {
        "issuer": ALICE.issuer,
        "email": "a@example.com\r\nX-User-Issuer: x",
        "public_address": 5,
        "phone": "",
        "plan": {"name": "gold"},
    }
    assert User(ALICE.issuer) == decode_user(json.dumps(record).encode(), ALICE.issuer)


@pytest.mark.parametrize("value", ["a", "jürgen@example.com", "+1 (555) 010", "x" * MAX_TEXT_CHARS])
def test_readable(value: str) -> None:
    """Text that can stand in a line passes as it is."""
    assert value == readable(value)


@pytest.mark.parametrize(
    "value",
    ["", "a\r", "a\n", "\x00", "a\x7f", "\x85", "\u2028", "\u202e", "\ud800", "x" * 513, 5, None],
)
def test_not_readable(value: object) -> None:
    """Text with controls, line ends or direction marks, over-long text and other types do not."""
    assert readable(value) is None


@given(st.text())
def test_no_control_character_passes(value: str) -> None:
    """Nothing that passes can end a header or a log line."""
    passed = readable(value)
    assert passed is None or not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in passed)
