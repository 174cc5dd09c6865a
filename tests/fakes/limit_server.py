"""The scripts of rate limits in Python, on a server with a clock of its own."""

import asyncio
from collections.abc import Callable, Sequence

from gateway.core.limit import Limit
from gateway.ratelimit import fixed_window, sliding_window, token_bucket
from gateway.ratelimit.approximate import ApproximateLimiter
from tests.fakes.memory import FakeClock
from tests.fakes.store import Word

WRONG_WINDOW = -1
"""In place of what was allowed: the server's clock is in none of the windows that were named."""


class LimitServer:
    """Counts as the scripts do, by the pure arithmetic that tests hold equal to them."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.counts: dict[str, int] = {}
        self.debts: dict[str, tuple[int, int]] = {}
        self.runs: list[int] = []
        """How many callers each run had."""

    @property
    def scripts(self) -> dict[str, Callable[[Sequence[str], Sequence[Word]], object]]:
        """For `FakeStore`."""
        return {
            "sliding_window": lambda keys, args: self._run(keys, args, 3, self._slide),
            "fixed_window": lambda keys, args: self._run(keys, args, 2, self._fix),
            "token_bucket": lambda keys, args: self._run(keys, args, 1, self._fill),
        }

    def _run(
        self,
        keys: Sequence[str],
        args: Sequence[Word],
        width: int,
        charge: Callable[[Sequence[str], int, int, int, int], list[int]],
    ) -> list[int]:
        numbers, names = list(map(int, args)), list(keys)
        self.runs.append(len(names) // width)
        reply = [self._now_ms]
        while numbers:
            rate, length_ms, third, charges = numbers[:4]
            for asked in numbers[4 : 4 + charges]:
                reply += charge(names[:width], rate, length_ms, third, asked)
                del names[:width]
            del numbers[: 4 + charges]
        return reply

    @property
    def _now_ms(self) -> int:
        return int(self.clock() * 1000)

    def _slide(
        self, keys: Sequence[str], rate: int, length_ms: int, window: int, asked: int
    ) -> list[int]:
        ahead = self._now_ms // length_ms - window
        if ahead not in (0, 1):
            return [WRONG_WINDOW, 0, 0]
        before, key = keys[ahead : ahead + 2]
        current, previous = self.counts.get(key, 0), self.counts.get(before, 0)
        limit = Limit("any", rate, length_ms // 1000)
        allowed = sliding_window.settle(limit, current, previous, asked, self._now_ms)
        self.counts[key] = current + allowed
        return [allowed, current + allowed, previous]

    def _fix(
        self, keys: Sequence[str], rate: int, length_ms: int, window: int, asked: int
    ) -> list[int]:
        ahead = self._now_ms // length_ms - window
        if ahead not in (0, 1):
            return [WRONG_WINDOW, 0]
        count = self.counts.get(keys[ahead], 0)
        allowed = fixed_window.settle(Limit("any", rate, length_ms // 1000), count, asked)
        self.counts[keys[ahead]] = count + allowed
        return [allowed, count + allowed]

    def _fill(
        self, keys: Sequence[str], rate: int, length_ms: int, capacity: int, asked: int
    ) -> list[int]:
        limit = Limit("any", rate, length_ms // 1000, burst=capacity)
        debt = token_bucket.debt_at(limit, self.debts.get(keys[0]), self._now_ms)
        allowed = token_bucket.settle(limit, debt, asked)
        debt += allowed * length_ms
        if allowed:
            self.debts[keys[0]] = debt, self._now_ms
        return [allowed, debt]


class StillLimiter(ApproximateLimiter):
    """Its timer does not run out by itself: not in a test that is held up, nor at its end."""

    def _tick_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(3600, self._tick)
