"""Shapes of the store's replies."""

import pytest

from gateway.core.replies import (
    Shape,
    are_counts,
    are_values,
    is_any,
    is_count,
    is_pairs,
    is_text,
    is_text_or_nil,
    is_texts,
)

REPLIES: list[object] = [None, 0, True, b"", "text", [], [b"a"], [b"a", b"b"], [b"a", None], [1, 2]]


@pytest.mark.parametrize(
    ("shape", "accepted"),
    [
        (is_any, REPLIES),
        (is_count, [0]),
        (is_text, [b""]),
        (is_text_or_nil, [None, b""]),
        (is_texts, [[], [b"a"], [b"a", b"b"]]),
        (is_pairs, [[], [b"a", b"b"]]),
    ],
)
def test_a_shape_accepts_its_own_replies_alone(shape: Shape, accepted: list[object]) -> None:
    """True is no number, and text is no value."""
    found = [reply for reply in REPLIES if shape(reply)]

    assert list(map(repr, accepted)) == list(map(repr, found))


def test_values_are_as_many_as_there_were_keys() -> None:
    """Each is there, or None."""
    assert are_values(2, [b"a", None])
    assert not are_values(2, [b"a"])
    assert not are_values(2, [b"a", 1])
    assert not are_values(2, b"ab")


def test_counts_are_as_many_as_were_asked_for() -> None:
    """All of them are numbers."""
    assert are_counts(2, [1, -1])
    assert not are_counts(2, [1, 2, 3])
    assert not are_counts(2, [1, b"2"])
    assert not are_counts(2, 12)
