"""
Rates of single callers, in place of that of the limit: ``500/minute``, or ``50/second burst=200``.

Operators and apps write them to the store, as ``limit-override:{rule}:{caller}``. The window is
that of the limit, so that what was counted before an override is counted with it, too.
"""

import re
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.core.limit import Limit
from gateway.core.rate import Rate, rate_text, read_rate

MAX_BYTES: Final = 64
_BURST = re.compile(r"burst=([0-9]{1,9})")
_BUCKET = "token-bucket"


class Override(NamedTuple):
    """The rate of one caller."""

    rate: Rate
    burst: int | None = None

    def __str__(self) -> str:
        burst = "" if self.burst is None else f" burst={self.burst}"
        return rate_text(self.rate) + burst


def key(limit: str, caller: str) -> str:
    """Name the key of an override; ``caller`` is as the counters of the limit name it."""
    return f"limit-override:{limit}:{caller}".encode(errors="backslashreplace").decode()


def read_override(record: bytes) -> Override:
    """Read the record of an override. Raises `ValueError`."""
    if len(record) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES} bytes")
    rate, *more = record.decode("ascii").split()[:3] or [""]
    if not more:
        return Override(read_rate(rate))
    match = _BURST.fullmatch(more[0])
    if match is None or len(more) > 1 or not int(match[1]):
        raise ValueError("expected a rate, and perhaps burst=100")
    return Override(read_rate(rate), int(match[1]))


def with_override(limit: Limit, override: Override) -> Limit:
    """Return ``limit`` with the rate of ``override``. Raises `ValueError` if it does not fit."""
    if limit.is_concurrency:
        raise ValueError("the limit counts requests that are under way, and has no rate")
    if override.rate.window_s != limit.window_s:
        window = rate_text(Rate(1, limit.window_s)).partition("/")[2]
        raise ValueError(f"the window is not that of the limit: write NUMBER/{window}")
    if override.burst is not None and limit.algorithm != _BUCKET:
        raise ValueError("a burst needs algorithm: token-bucket")
    return replace(limit, rate=override.rate.requests, burst=override.burst)
