"""
Fixed window: the simplest arithmetic of a rate limit, in whole requests and milliseconds.

Windows are counted from the Unix epoch, and each begins from zero. So none is ever charged more
than ``rate``, but a burst at the end of one and another at the beginning of the next may follow
each other: up to 2 × ``rate`` in a stretch across the border. It keeps one number of a caller, and
costs the store two commands where the sliding window costs three.

`settle` is what ``fixed_window.lua`` does inside the store; tests compare the two.
"""

from collections.abc import Sequence
from functools import lru_cache

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.answers import answer, answers
from gateway.ratelimit.lua import charge_each
from gateway.ratelimit.sliding_window import until_end_s, window_args, window_number


class FixedWindow:
    """The port `gateway.ratelimit.algorithm.LimitAlgorithm`, by the functions below."""

    name = "fixed_window"
    script = charge_each(name)
    width = 1
    """The count of the window."""

    def names(self, limit: Limit, now_ms: int) -> tuple[str, ...]:
        return counters(limit.name, window_number(limit, now_ms))

    def args(self, limit: Limit, asked: Sequence[int], now_ms: int) -> Sequence[int]:
        return window_args(limit, asked, now_ms)

    def states(
        self, limit: Limit, counts: Sequence[int], allowed: int, asked: int, now_ms: int
    ) -> list[LimitState]:
        [count] = counts
        ends_s = until_end_s(limit, now_ms)
        return answers(limit, max(0, limit.rate - count), allowed, asked, ends_s, ends_s)

    def last_states(
        self, limit: Limit, counts: Sequence[tuple[int, ...]], now_ms: int
    ) -> list[LimitState]:
        return [self.states(limit, each, 1, 1, now_ms)[0] for each in counts]

    def uncounted(self, limit: Limit, now_ms: int) -> LimitState:
        return LimitState(limit, True, limit.rate, until_end_s(limit, now_ms), 0.0)

    def left(
        self,
        limit: Limit,
        counts: Sequence[int],
        now_ms: int,  # noqa: ARG002 (of the port: the count is that of this window)
    ) -> int:
        return max(0, limit.rate - counts[0])

    def answer(
        self,
        limit: Limit,
        counts: Sequence[int],
        cost: int,  # noqa: ARG002 (of the port: there is room for any when the window ends)
        now_ms: int,
        *,
        is_allowed: bool,
    ) -> LimitState:
        left, ends_s = self.left(limit, counts, now_ms), until_end_s(limit, now_ms)
        return answer(limit, left, ends_s, ends_s, is_allowed=is_allowed)

    def counts(self, limit: Limit, known: tuple[int, ...] | None, now_ms: int) -> tuple[int, ...]:
        return (_count_in(window_number(limit, now_ms), known),)

    def add(
        self, limit: Limit, known: tuple[int, ...] | None, cost: int, now_ms: int
    ) -> tuple[int, ...]:
        [count] = self.counts(limit, known, now_ms)
        return window_number(limit, now_ms), max(0, count + cost)

    def charge(
        self, limit: Limit, known: tuple[int, ...] | None, asked: int, now_ms: int
    ) -> tuple[tuple[int, ...], list[LimitState]]:
        """Keep the number of the window and its count."""
        window = window_number(limit, now_ms)
        count = _count_in(window, known)
        allowed = settle(limit, count, asked)
        count += allowed
        return (window, count), self.states(limit, (count,), allowed, asked, now_ms)

    def learn(
        self,
        limit: Limit,
        known: Sequence[tuple[int, ...] | None],
        counts: Sequence[tuple[int, ...]],
        now_ms: int,
    ) -> list[tuple[int, ...]]:
        window = window_number(limit, now_ms)
        return [
            (window, max(count, _count_in(window, own)))
            for own, (count,) in zip(known, counts, strict=True)
        ]


def _count_in(window: int, known: tuple[int, ...] | None) -> int:
    """Return the count of ``window``, where ``known`` is a window and its count."""
    return known[1] if known is not None and known[0] == window else 0


@lru_cache(maxsize=256)
def counters(name: str, window: int) -> tuple[str, ...]:
    """Name the counts of ``window`` and of the one after it."""
    return tuple(f"limit:{name}:{number}:" for number in (window, window + 1))


def settle(limit: Limit, count: int, asked: int) -> int:
    """Return how many of ``asked`` requests are allowed and charged."""
    return max(0, min(asked, limit.rate - count))
