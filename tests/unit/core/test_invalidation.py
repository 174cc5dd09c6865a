"""Cache invalidations that gateways send to each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.invalidation import InvalidationKind, decode, encode


@given(
    st.sampled_from(InvalidationKind), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
)
def test_an_encoded_message_decodes_to_the_same(subject: InvalidationKind, name: str) -> None:
    """Names may hold any character, spaces included."""
    assert (subject, name) == decode(encode(subject, name))


@pytest.mark.parametrize("message", [b"", b"session", b"session ", b"other x", b"\xff x", b" x"])
def test_unreadable_messages_decode_to_none(message: bytes) -> None:
    """A later version may send other messages."""
    assert decode(message) is None
