"""What a browser says of itself, in words in which its owner will know it again."""

import re

UNKNOWN = "Unknown device"

_LONGEST = 512
"""Characters of User-Agent that are looked at; real ones have some 120."""

_BROWSERS = (
    # The first that is there: each of them also claims to be some of those below it.
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_PROGRAM = re.compile(r"(?!Mozilla/)[A-Za-z][A-Za-z0-9._-]{0,31}(?=/|\Z)", re.ASCII)
"""Such as ``curl/8.5.0``: the product's name (RFC 9110 section 10.1.5)."""


def device_name(user_agent: str) -> str:
    """
    ``Firefox on Linux`` and the like; never more than a few dozen printable characters.

    It is the client's own word: it helps people to tell their sessions apart, and proves nothing.
    """
    said = user_agent[:_LONGEST]
    browser = _first(_BROWSERS, said)
    system = _first(_SYSTEMS, said)
    if browser and system:
        return f"{browser} on {system}"
    if browser or system:
        return browser or system
    program = _PROGRAM.match(said)
    return program[0] if program else UNKNOWN


def _first(words: tuple[tuple[str, str], ...], said: str) -> str:
    return next((name for word, name in words if word in said), "")
