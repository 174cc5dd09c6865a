"""
Token bucket: the arithmetic of a rate limit that lets bursts pass, in whole numbers.

A bucket holds up to ``capacity`` tokens and regains ``rate`` of them in ``window_s`` seconds,
evenly. A request takes one. So in any stretch of a window's length, wherever it begins, a caller
gets ``capacity`` + ``rate`` requests at the most.

What is kept is the debt: what the bucket lacks of being full, and when that was so. It is counted
in parts of a token, of which each token has as many as a window has milliseconds. Then the bucket
regains ``rate`` parts in a millisecond, and every number is whole. (This is the generic cell rate
algorithm, GCRA, with the debt in place of the theoretical arrival time.)

`debt_at` and `settle` are what ``token_bucket.lua`` does inside the store; tests compare them. Lua
computes in doubles, so it is exact as long as (``capacity`` + ``rate``) × ``window_s`` × 1000 stays
below 2**53.
"""

from collections.abc import Sequence

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.answers import answer, answers
from gateway.ratelimit.lua import charge_each
from gateway.ratelimit.sliding_window import window_ms


class TokenBucket:
    """The port `gateway.ratelimit.algorithm.LimitAlgorithm`, by the functions below."""

    name = "token_bucket"
    script = charge_each(name)
    width = 1
    """The debt at the time of the reply."""

    def names(
        self,
        limit: Limit,
        now_ms: int,  # noqa: ARG002 (of the port: a bucket has one key for all times)
    ) -> tuple[str, ...]:
        return (f"limit:{limit.name}:bucket:",)

    def args(
        self,
        limit: Limit,
        asked: Sequence[int],
        now_ms: int,  # noqa: ARG002 (of the port: the server's clock alone counts)
    ) -> Sequence[int]:
        return limit.rate, window_ms(limit), limit.capacity, len(asked), *asked

    def states(
        self,
        limit: Limit,
        counts: Sequence[int],
        allowed: int,
        asked: int,
        now_ms: int,  # noqa: ARG002 (of the port: the debt is that of this moment)
    ) -> list[LimitState]:
        [debt] = counts
        left, full_s = room(limit, debt), _regained_ms(limit, debt) / 1000
        return answers(limit, left, allowed, asked, full_s, retry_after_ms(limit, debt) / 1000)

    def last_states(
        self, limit: Limit, counts: Sequence[tuple[int, ...]], now_ms: int
    ) -> list[LimitState]:
        return [self.states(limit, each, 1, 1, now_ms)[0] for each in counts]

    def uncounted(self, limit: Limit, now_ms: int) -> LimitState:  # noqa: ARG002 (of the port)
        return LimitState(limit, True, limit.capacity, 0.0, 0.0)

    def left(
        self,
        limit: Limit,
        counts: Sequence[int],
        now_ms: int,  # noqa: ARG002 (of the port: the debt is that of this moment)
    ) -> int:
        return room(limit, counts[0])

    def answer(
        self, limit: Limit, counts: Sequence[int], cost: int, now_ms: int, *, is_allowed: bool
    ) -> LimitState:
        [debt] = counts[:1]
        left, full_s = self.left(limit, counts, now_ms), _regained_ms(limit, debt) / 1000
        lacking = 1 if is_allowed else cost
        wait_ms = retry_after_ms(limit, debt + (lacking - 1) * window_ms(limit))
        return answer(limit, left, full_s, wait_ms / 1000, is_allowed=is_allowed)

    def counts(self, limit: Limit, known: tuple[int, ...] | None, now_ms: int) -> tuple[int, ...]:
        return (debt_at(limit, known, now_ms),)

    def add(
        self, limit: Limit, known: tuple[int, ...] | None, cost: int, now_ms: int
    ) -> tuple[int, ...]:
        return max(0, debt_at(limit, known, now_ms) + cost * window_ms(limit)), now_ms

    def charge(
        self, limit: Limit, known: tuple[int, ...] | None, asked: int, now_ms: int
    ) -> tuple[tuple[int, ...], list[LimitState]]:
        """Keep the debt and its time."""
        debt = debt_at(limit, known, now_ms)
        allowed = settle(limit, debt, asked)
        debt += allowed * window_ms(limit)
        return (debt, now_ms), self.states(limit, (debt,), allowed, asked, now_ms)

    def learn(
        self,
        limit: Limit,
        known: Sequence[tuple[int, ...] | None],
        counts: Sequence[tuple[int, ...]],
        now_ms: int,
    ) -> list[tuple[int, ...]]:
        return [
            (max(debt, debt_at(limit, own, now_ms)), now_ms)
            for own, (debt,) in zip(known, counts, strict=True)
        ]


def debt_at(limit: Limit, known: tuple[int, ...] | None, now_ms: int) -> int:
    """
    Return the debt at ``now_ms``, where ``known`` is a debt and its time.

    A clock that was set back regains nothing, and loses nothing.
    """
    if known is None:
        return 0
    debt, at_ms = known
    return max(0, debt - max(0, now_ms - at_ms) * limit.rate)


def room(limit: Limit, debt: int) -> int:
    """Return how many whole tokens a bucket with ``debt`` holds."""
    length_ms = window_ms(limit)
    return max(0, limit.capacity * length_ms - debt) // length_ms


def settle(limit: Limit, debt: int, asked: int) -> int:
    """Return how many of ``asked`` requests are allowed and charged."""
    return min(asked, room(limit, debt))


def retry_after_ms(limit: Limit, debt: int) -> int:
    """Return the milliseconds until one more request is allowed, without others; 0 if one is."""
    return _regained_ms(limit, debt - (limit.capacity - 1) * window_ms(limit))


def _regained_ms(limit: Limit, parts: int) -> int:
    """Return the milliseconds in which the bucket regains ``parts``, rounded up."""
    return max(0, -(-parts // limit.rate))
