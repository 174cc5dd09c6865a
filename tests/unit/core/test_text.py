"""Text from outside that ends up in header fields and log lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.text import MAX_TEXT_CHARS, printable_text


@pytest.mark.parametrize("text", ["a", "ada@example.com", "Zoë", "a b", "x" * MAX_TEXT_CHARS])
def test_printable_text_is_returned_as_it_is(text: str) -> None:
    """Spaces and letters of any script are printable."""
    assert text == printable_text(text)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * (MAX_TEXT_CHARS + 1), id="too-long"),
        pytest.param("a\r\nX-Role: admin", id="header-injection"),
        pytest.param("a\x00", id="nul"),
        pytest.param("a\x7f", id="del"),
        pytest.param("a\u2028b", id="line-separator"),
        pytest.param("a\u202eb", id="text-direction-mark"),
        pytest.param(None, id="none"),
        pytest.param(b"a", id="bytes"),
        pytest.param(1, id="number"),
    ],
)
def test_other_values_are_rejected_whole(value: object) -> None:
    """An address with characters removed would be the address of another person."""
    assert printable_text(value) is None


@given(st.text())
def test_the_result_never_ends_a_line(text: str) -> None:
    """Neither a header field nor a log line can be forged."""
    found = printable_text(text)
    assert found is None or (found == text and len(found.splitlines()) == 1)
