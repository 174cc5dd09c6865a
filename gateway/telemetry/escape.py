"""Text of others in lines of a log: it must not look like another line."""

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""
Control characters, line separators, those that turn the direction of writing round (a terminal
shows other members in another order), and surrogates, which stand for bytes that are no UTF-8.
"""


def visible(text: str) -> str:
    """Escape what is no character of a line, as Python writes it."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
