"""Names of devices, from User-Agent, by which users recognise their own sessions."""

import re

UNKNOWN = "Unknown device"

_LONGEST = 512
"""Characters of User-Agent that are read; real ones have some 120."""

_BROWSERS = (
    # The first match counts: each browser also claims to be some of those below it.
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
"""The product name of programs such as ``curl/8.5.0`` (RFC 9110 section 10.1.5)."""


def device_name(user_agent: str) -> str:
    """
    Describe a device, as in ``Firefox on Linux``, in a few dozen printable characters at most.

    The client chooses its User-Agent: the name helps users to tell their sessions apart, and proves
    nothing.
    """
    user_agent = user_agent[:_LONGEST]
    browser = _first_match(_BROWSERS, user_agent)
    system = _first_match(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    if browser or system:
        return browser or system
    program = _PROGRAM.match(user_agent)
    return program[0] if program else UNKNOWN


def _first_match(words: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for word, name in words if word in user_agent), "")
