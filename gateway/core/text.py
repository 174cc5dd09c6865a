"""Text from outside that may stand in a header field and in a log line."""

from typing import Final

MAX_TEXT_CHARS: Final = 512
"""An address has at most 254 (RFC 5321 section 4.5.3.1.3); the value ends up in a header."""


def printable_text(value: object) -> str | None:
    """
    ``value`` if it is text that can stand in a header and in a log line, else None.

    Control characters (CR, LF, NUL, DEL), other line ends and text-direction marks disqualify all
    of it: a cleaned address would be somebody else's.
    """
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARS and value.isprintable():
        return value
    return None
