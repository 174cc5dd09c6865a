"""When a delivery is tried again, and when it is given up. Pure arithmetic."""

from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import NamedTuple

FIRST_S, FACTOR, LONGEST_S = 5.0, 2.5, 6 * 3600.0
GIVEN_UP_S = 24 * 3600.0
"""A delivery is tried for a day."""
_JITTER = 0.25
"""A wait is up to a quarter shorter or longer, so that those that failed together part."""

_GONE = 410
_TOO_MANY, _UNAVAILABLE = 429, 503
_MAX_RETRY_AFTER_DIGITS = 6


class Verdict(Enum):
    """What an answer means for the delivery."""

    DELIVERED = auto()
    RETRY = auto()
    DEAD = auto()
    """Not tried again by itself: kept among the dead letters."""


class HookAnswer(NamedTuple):
    """What came of one attempt; status 0 where no answer came."""

    status: int
    reason: str
    """A word for log and tools."""
    retry_after_s: float = 0.0


def verdict(answer: HookAnswer) -> Verdict:
    """
    Judge an answer: 2xx is delivered, 410 (Gone) is given up, all others are tried again.

    A redirect counts as a failure and is not followed: the endpoint has to be corrected.
    """
    if 200 <= answer.status < 300:  # noqa: PLR2004 (a class of RFC 9110)
        return Verdict.DELIVERED
    return Verdict.DEAD if answer.status == _GONE else Verdict.RETRY


def next_attempt_s(
    attempts: int, first_s: float, now_s: float, retry_after_s: float, share: float
) -> float | None:
    """
    Return when to try again, after so many attempts, the first of which was at ``first_s``.

    ``share`` in [0, 1) sets the jitter. None where the delivery is given up: a day has passed.
    """
    wait_s = min(FIRST_S * FACTOR ** min(attempts - 1, 20), LONGEST_S)
    wait_s *= 1 - _JITTER + 2 * _JITTER * share
    at_s = now_s + max(wait_s, retry_after_s)
    return at_s if at_s - first_s <= GIVEN_UP_S else None


def retry_after_s(status: int, field: str, now_s: float) -> float:
    """
    Return the wait that an answer asks for, in seconds; 0 where it asks for none.

    ``Retry-After`` (RFC 9110 section 10.2.3) is read with 429 and 503; a day is the longest.
    """
    if status not in (_TOO_MANY, _UNAVAILABLE):
        return 0.0
    if field.isascii() and field.isdigit():
        asked_s = float(field) if len(field) <= _MAX_RETRY_AFTER_DIGITS else GIVEN_UP_S
    else:
        asked_s = _date_s(field, now_s) - now_s
    return min(max(0.0, asked_s), GIVEN_UP_S)


def _date_s(field: str, otherwise_s: float) -> float:
    try:
        return parsedate_to_datetime(field).timestamp()
    except (ValueError, OverflowError):
        return otherwise_s
