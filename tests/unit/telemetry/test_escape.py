"""Text of others in lines of a log."""

import pytest

from gateway.telemetry.escape import visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Grüße, 世界", "Grüße, 世界", id="other-scripts"),
        pytest.param("a\r\nb\tc", r"a\r\nb\tc", id="line-break"),
        pytest.param("\x1b[2J\x7f\x85", r"\x1b[2J\x7f\x85", id="terminal"),
        pytest.param("a\u2028b\u2029", r"a\u2028b\u2029", id="line-separators"),
        pytest.param("a\u202eb\u2066", r"a\u202eb\u2066", id="turned-round"),
        pytest.param("\udc80", r"\udc80", id="no-utf-8"),
    ],
)
def test_what_is_no_character_of_a_line_is_escaped(text: str, expected: str) -> None:
    """All else stays, and the result can be encoded."""
    assert expected == visible(text)
    assert visible(text).encode()
