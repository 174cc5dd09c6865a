"""
Sliding-window counter: the arithmetic of a rate limit, in whole requests and milliseconds.

A sliding window is estimated from two fixed ones, which are counted from the Unix epoch. Requests
of the current window count in full. Those of the previous window count by the share of it that the
last ``window_s`` seconds still cover, as if they had come evenly, rounded down. So no fixed window
is ever charged more than ``rate``, and a caller that keeps evenly to the rate is not refused. The
price of storing two numbers instead of every request: a burst at the end of one window, followed by
the full rate, can reach nearly 2 × ``rate`` in a stretch across the border.

`settle` is what ``sliding_window.lua`` does inside the store; tests compare the two. Lua computes
in doubles, so it is exact as long as ``rate`` × ``window_s`` × 1000 stays below 2**53.
"""

from collections.abc import Sequence
from functools import lru_cache

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.answers import answer, answers
from gateway.ratelimit.lua import charge_each


class SlidingWindow:
    """The port `gateway.ratelimit.algorithm.LimitAlgorithm`, by the functions below."""

    name = "sliding_window"
    script = charge_each(name)
    width = 2
    """The counts of the current window and of the previous one."""

    def names(self, limit: Limit, now_ms: int) -> tuple[str, ...]:
        return counters(limit.name, now_ms // (limit.window_s * 1000))

    def args(self, limit: Limit, asked: Sequence[int], now_ms: int) -> Sequence[int]:
        return window_args(limit, asked, now_ms)

    def states(
        self, limit: Limit, counts: Sequence[int], allowed: int, asked: int, now_ms: int
    ) -> list[LimitState]:
        current, previous = counts
        return states(limit, current, previous, allowed, asked, now_ms)

    def last_states(
        self, limit: Limit, counts: Sequence[tuple[int, ...]], now_ms: int
    ) -> list[LimitState]:
        return last_states(limit, counts, now_ms)

    def uncounted(self, limit: Limit, now_ms: int) -> LimitState:
        return uncounted(limit, now_ms)

    def left(self, limit: Limit, counts: Sequence[int], now_ms: int) -> int:
        return max(0, limit.rate - used(limit, counts[0], counts[1], now_ms))

    def answer(
        self, limit: Limit, counts: Sequence[int], cost: int, now_ms: int, *, is_allowed: bool
    ) -> LimitState:
        current, previous = counts[:2]
        left, reset_s = self.left(limit, counts, now_ms), until_end_s(limit, now_ms)
        wait_ms = retry_after_ms(limit, current, previous, now_ms, 1 if is_allowed else cost)
        return answer(limit, left, reset_s, wait_ms / 1000, is_allowed=is_allowed)

    def counts(self, limit: Limit, known: tuple[int, ...] | None, now_ms: int) -> tuple[int, ...]:
        window = window_number(limit, now_ms)
        return _counts_in(window, *(known or (window, 0, 0)))

    def add(
        self, limit: Limit, known: tuple[int, ...] | None, cost: int, now_ms: int
    ) -> tuple[int, ...]:
        current, previous = self.counts(limit, known, now_ms)
        return window_number(limit, now_ms), max(0, current + cost), previous

    def charge(
        self, limit: Limit, known: tuple[int, ...] | None, asked: int, now_ms: int
    ) -> tuple[tuple[int, ...], list[LimitState]]:
        """Keep the number of the window, its count, and that of the window before it."""
        window = window_number(limit, now_ms)
        current, previous = self.counts(limit, known, now_ms)
        allowed = settle(limit, current, previous, asked, now_ms)
        current += allowed
        answers = states(limit, current, previous, allowed, asked, now_ms)
        return (window, current, previous), answers

    def learn(
        self,
        limit: Limit,
        known: Sequence[tuple[int, ...] | None],
        counts: Sequence[tuple[int, ...]],
        now_ms: int,
    ) -> list[tuple[int, ...]]:
        window = window_number(limit, now_ms)
        return [
            (window, current, previous)
            if own is None or (own[0] == window and own[1] <= current and own[2] <= previous)
            else _most(window, own, current, previous)
            for own, (current, previous) in zip(known, counts, strict=True)
        ]


def _most(window: int, own: tuple[int, ...], current: int, previous: int) -> tuple[int, int, int]:
    """Join what was counted here and what the store has counted in ``window``."""
    own_current, own_previous = _counts_in(window, *own)
    return window, max(current, own_current), max(previous, own_previous)


def _counts_in(window: int, last: int, current: int, previous: int) -> tuple[int, int]:
    """The counts of ``window`` and of the one before it, as known in the window ``last``."""
    match window - last:
        case 0:
            return current, previous
        case 1:
            return 0, current
    return 0, 0


@lru_cache(maxsize=256)
def counters(name: str, window: int) -> tuple[str, ...]:
    """Name the counts of the window before, of ``window`` and of the one after it."""
    return tuple(f"limit:{name}:{number}:" for number in (window - 1, window, window + 1))


def window_ms(limit: Limit) -> int:
    return limit.window_s * 1000


def window_number(limit: Limit, now_ms: int) -> int:
    """Number of the fixed window that holds ``now_ms`` (Unix time in milliseconds)."""
    return now_ms // (limit.window_s * 1000)


def window_args(limit: Limit, asked: Sequence[int], now_ms: int) -> Sequence[int]:
    """Return the arguments of a script that counts by windows, for one limit."""
    return limit.rate, window_ms(limit), window_number(limit, now_ms), len(asked), *asked


def until_end_s(limit: Limit, now_ms: int) -> float:
    """Seconds until the window that holds ``now_ms`` ends, and the next one begins."""
    length_ms = limit.window_s * 1000
    return (length_ms - now_ms % length_ms) / 1000


def used(limit: Limit, current: int, previous: int, now_ms: int) -> int:
    """Count the requests of this window and the previous one that still matter at ``now_ms``."""
    length_ms = limit.window_s * 1000
    still_covered_ms = length_ms - now_ms % length_ms
    return current + previous * still_covered_ms // length_ms


def settle(limit: Limit, current: int, previous: int, asked: int, now_ms: int) -> int:
    """Return how many of ``asked`` requests are allowed and charged."""
    return max(0, min(asked, limit.rate - used(limit, current, previous, now_ms)))


def states(
    limit: Limit, current: int, previous: int, allowed: int, asked: int, now_ms: int
) -> list[LimitState]:
    """
    Return the state after each of ``asked`` requests, in order of arrival.

    ``current`` is the count after ``allowed`` of them were charged.
    """
    left = max(0, limit.rate - used(limit, current, previous, now_ms))
    reset_s = until_end_s(limit, now_ms)
    if left and allowed == 1:
        return [LimitState(limit, True, left, reset_s, 0.0)]
    retry_after_s = 0.0 if left else retry_after_ms(limit, current, previous, now_ms) / 1000
    return answers(limit, left, allowed, asked, reset_s, retry_after_s)


def last_states(limit: Limit, counts: Sequence[tuple[int, ...]], now_ms: int) -> list[LimitState]:
    """
    Return what `states` says of one request that was charged, for many callers at once.

    Callers with as many requests left share an answer.
    """
    length_ms = limit.window_s * 1000
    still_covered_ms = length_ms - now_ms % length_ms
    reset_s = still_covered_ms / 1000
    rate = limit.rate
    made: dict[int, LimitState] = {}
    told: list[LimitState] = []
    for current, previous in counts:
        left = rate - current - previous * still_covered_ms // length_ms
        state = made.get(left)
        if state is None:
            if left <= 0:
                told += states(limit, current, previous, 1, 1, now_ms)
                continue
            state = made[left] = LimitState(limit, True, left, reset_s, 0.0)
        told.append(state)
    return told


def uncounted(limit: Limit, now_ms: int) -> LimitState:
    """Return the state of a request that is admitted without counting (``open``)."""
    return LimitState(limit, True, limit.rate, until_end_s(limit, now_ms), 0.0)


def retry_after_ms(limit: Limit, current: int, previous: int, now_ms: int, cost: int = 1) -> int:
    """
    Return the milliseconds until ``cost`` more are allowed, without others; 0 if they already are.

    There are three cases. It is allowed once the previous window counts less; or once this window
    is the previous one and counts less; or, where the count exceeds the rate (which was lowered),
    once this window does not count at all. (A cost above the rate is never allowed.)
    """
    length_ms = window_ms(limit)
    elapsed_ms = now_ms % length_ms
    room = limit.rate - cost + 1
    opens_ms = _opens_ms(room - current, previous, length_ms)
    if opens_ms < length_ms:
        return max(0, opens_ms - elapsed_ms)
    return length_ms - elapsed_ms + _opens_ms(room, current, length_ms)


def _opens_ms(room: int, previous: int, length_ms: int) -> int:
    """
    Return how far into a window ``previous`` first counts less than ``room``; its end if never.

    The last moment that is too early has ``previous`` × (length - moment) = ``room`` × length.
    """
    if room <= 0:
        return length_ms
    if previous < room:
        return 0
    return length_ms - (room * length_ms - 1) // previous
