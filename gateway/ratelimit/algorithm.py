"""
The port of rate-limit algorithms, and the table of them.

An algorithm is pure arithmetic, and the same arithmetic as a Lua script for the store. The limiters
know neither: they keep the numbers that an algorithm hands them, and return what it makes of them.

To add one: write its file and its script, add a line to `ALGORITHMS`, and its name to
``limits.*.algorithm`` of the config.
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.fixed_window import FixedWindow
from gateway.ratelimit.sliding_window import SlidingWindow
from gateway.ratelimit.token_bucket import TokenBucket


class LimitAlgorithm(Protocol):
    """Counts requests against a limit, here and in the store."""

    name: str
    """Of its script, for logs."""
    script: str
    """
    Lua that charges several callers in one step, see `gateway.ratelimit.lua.charge_each`.

    It gets the keys and ``args`` of each limit in turn. The reply begins with the store's time
    in milliseconds; for each charge follow how many requests were allowed, and as many numbers as
    ``width`` says. Allowed is `gateway.ratelimit.run_part.WRONG_WINDOW` for all charges of a limit
    where the caller's clock is too far off.
    """
    width: int

    def names(self, limit: Limit, now_ms: int) -> tuple[str, ...]:
        """Name the keys that a charge at ``now_ms`` touches; each gets its caller as hash tag."""

    def args(self, limit: Limit, asked: Sequence[int], now_ms: int) -> Sequence[int]:
        """Return the arguments of charges that ask for so many requests each."""

    def states(
        self, limit: Limit, counts: Sequence[int], allowed: int, asked: int, now_ms: int
    ) -> list[LimitState]:
        """Answer each of ``asked`` requests, of which the first ``allowed`` were charged."""

    def last_states(
        self, limit: Limit, counts: Sequence[tuple[int, ...]], now_ms: int
    ) -> list[LimitState]:
        """Return the answer to the last request that was charged, for each caller's counts."""

    def uncounted(self, limit: Limit, now_ms: int) -> LimitState:
        """Answer a request that is let through because the store cannot count."""

    def left(self, limit: Limit, counts: Sequence[int], now_ms: int) -> int:
        """Return how many more requests are allowed at ``now_ms``."""

    def answer(
        self, limit: Limit, counts: Sequence[int], cost: int, now_ms: int, *, is_allowed: bool
    ) -> LimitState:
        """
        Answer a request of ``cost``: allowed and charged already, or refused.

        Of ``counts`` the first as many as ``width`` says are read.
        """

    def counts(self, limit: Limit, known: tuple[int, ...] | None, now_ms: int) -> tuple[int, ...]:
        """Return the counts at ``now_ms``, from the numbers that are kept here."""

    def add(
        self, limit: Limit, known: tuple[int, ...] | None, cost: int, now_ms: int
    ) -> tuple[int, ...]:
        """Charge ``cost`` here, whatever is left, or give it back; returns the numbers to keep."""

    def charge(
        self, limit: Limit, known: tuple[int, ...] | None, asked: int, now_ms: int
    ) -> tuple[tuple[int, ...], list[LimitState]]:
        """Charge ``asked`` requests here; returns the numbers to keep, and the answers."""

    def learn(
        self,
        limit: Limit,
        known: Sequence[tuple[int, ...] | None],
        counts: Sequence[tuple[int, ...]],
        now_ms: int,
    ) -> list[tuple[int, ...]]:
        """
        Return the numbers to keep of callers; the store has counted ``counts`` at ``now_ms``.

        Where more is ``known`` here, that stays: it was counted while the store could not.
        """


ALGORITHMS: dict[str, LimitAlgorithm] = {
    "sliding-window": SlidingWindow(),
    "fixed-window": FixedWindow(),
    "token-bucket": TokenBucket(),
}
"""By the name that ``limits.*.algorithm`` gives them."""
