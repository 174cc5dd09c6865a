"""Rates as people write them: ``300/minute``."""

import re
from typing import Final, NamedTuple


class Rate(NamedTuple):
    """At most ``requests`` in any ``window_s`` seconds."""

    requests: int
    window_s: int


PATTERN: Final = r"([0-9]{1,9})/([0-9]{1,4})?(second|minute|hour|day)s?"
_RATE = re.compile(PATTERN)
_WINDOW_S = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}


def read_rate(text: str) -> Rate:
    """Parse ``300/minute``, ``5/15minutes`` or ``50/second``. Raises `ValueError`."""
    match = _RATE.fullmatch(text)
    requests = int(match[1]) if match else 0
    window_s = int(match[2] or "1") * _WINDOW_S[match[3]] if match else 0
    if not requests or not window_s:
        raise ValueError("expected a rate such as 50/second, 300/minute or 5/15minutes")
    return Rate(requests, window_s)


def rate_text(limit: Rate) -> str:
    """Write a rate in its shortest form."""
    unit = next(unit for unit, length_s in _WINDOW_S.items() if limit.window_s % length_s == 0)
    times = limit.window_s // _WINDOW_S[unit]
    return f"{limit.requests}/{unit}" if times == 1 else f"{limit.requests}/{times}{unit}s"
