"""What gateways tell each other to forget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.invalidation import InvalidationKind, decode, encode


@given(
    st.sampled_from(InvalidationKind), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
)
def test_what_is_told_is_what_is_heard(subject: InvalidationKind, name: str) -> None:
    """Whatever the name holds, spaces included."""
    assert (subject, name) == decode(encode(subject, name))


@pytest.mark.parametrize("message", [b"", b"session", b"session ", b"other x", b"\xff x", b" x"])
def test_what_cannot_be_read_is_passed_over(message: bytes) -> None:
    """A later version may say more, and a stranger anything."""
    assert decode(message) is None
