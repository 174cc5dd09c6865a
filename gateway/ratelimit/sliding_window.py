"""
How much of a limit is used up: the arithmetic, in whole requests and whole milliseconds.

A sliding window over two fixed ones. Windows are counted from the Unix epoch. What was charged in
the previous window counts by the share of it that the last ``window_s`` seconds still cover, as if
it had come evenly, rounded down; what was charged in this one counts in full. So no window of
the grid is ever charged more than ``rate``, and a caller that keeps to it evenly is not refused;
the price of remembering two numbers instead of every request is that a burst at the end of one
window, and then the full rate, can come to nearly 2 × ``rate`` in a stretch across the border.

`settle` is what ``spend.lua`` does inside the store; the tests hold the two against each other.
It is exact there as long as ``rate`` × ``window_s`` × 1000 stays below 2**53 (Lua has doubles).
"""

from gateway.core.limit import Limit, LimitState


def window_ms(limit: Limit) -> int:
    return limit.window_s * 1000


def window_number(limit: Limit, now_ms: int) -> int:
    """Which window of the grid ``now_ms`` (Unix time in milliseconds) lies in."""
    return now_ms // window_ms(limit)


def used(limit: Limit, current: int, previous: int, now_ms: int) -> int:
    """Requests that count at ``now_ms``, of those charged in this window and the previous one."""
    length_ms = window_ms(limit)
    still_covered_ms = length_ms - now_ms % length_ms
    return current + previous * still_covered_ms // length_ms


def settle(limit: Limit, current: int, previous: int, asked: int, now_ms: int) -> int:
    """How many of ``asked`` requests are allowed, and charged; the others are not."""
    return max(0, min(asked, limit.rate - used(limit, current, previous, now_ms)))


def states(
    limit: Limit, current: int, previous: int, allowed: int, asked: int, now_ms: int
) -> list[LimitState]:
    """
    What each of ``asked`` callers hears, first come first served.

    ``current`` is the count after ``allowed`` of them were charged.
    """
    left = max(0, limit.rate - used(limit, current, previous, now_ms))
    reset_s = _reset_s(limit, now_ms)
    heard = [
        LimitState(limit, True, remaining, reset_s, 0.0)
        for remaining in range(left + allowed - 1, left - 1, -1)
    ]
    if left:
        return heard
    retry_after_s = retry_after_ms(limit, current, previous, now_ms) / 1000
    if heard:
        heard[-1] = heard[-1]._replace(retry_after_s=retry_after_s)
    refused = LimitState(limit, False, left, reset_s, retry_after_s)
    return heard + [refused] * (asked - allowed)


def uncounted(limit: Limit, now_ms: int) -> LimitState:
    """What a caller hears who is let through because nobody can count."""
    return LimitState(limit, True, limit.rate, _reset_s(limit, now_ms), 0.0)


def _reset_s(limit: Limit, now_ms: int) -> float:
    return (window_ms(limit) - now_ms % window_ms(limit)) / 1000


def retry_after_ms(limit: Limit, current: int, previous: int, now_ms: int) -> int:
    """
    Milliseconds until one more request would be allowed if nobody else asks; 0 if it already is.

    There are three cases: it is allowed once the previous window counts less; or once this window
    is the previous one and counts less; or, where more was charged than the rate is now (it was
    lowered), once this window does not count at all.
    """
    length_ms = window_ms(limit)
    elapsed_ms = now_ms % length_ms
    opens_ms = _opens_ms(limit.rate - current, previous, length_ms)
    if opens_ms < length_ms:
        return max(0, opens_ms - elapsed_ms)
    return length_ms - elapsed_ms + _opens_ms(limit.rate, current, length_ms)


def _opens_ms(room: int, previous: int, length_ms: int) -> int:
    """
    How far into a window ``previous`` first counts less than ``room``; at its end if never.

    The last moment that is too early has ``previous`` × (length - moment) = ``room`` × length.
    """
    if room <= 0:
        return length_ms
    if previous < room:
        return 0
    return length_ms - (room * length_ms - 1) // previous
