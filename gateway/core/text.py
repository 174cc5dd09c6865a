"""Text from outside that may stand in a header field and in a log line."""

from typing import Final

MAX_TEXT_CHARS: Final = 512
"""An email address has at most 254 (RFC 5321 section 4.5.3.1.3); the value goes into a header."""


def printable_text(value: object) -> str | None:
    """
    Return ``value`` if it is text that is safe in a header and in a log line, else None.

    Text with control characters (CR, LF, NUL, DEL), other line ends or text-direction marks is
    rejected whole: an address with characters removed would be the address of another person.
    """
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARS and value.isprintable():
        return value
    return None
