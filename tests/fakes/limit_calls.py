"""
Random calls of rate limiters at times that are given: what Upstash's packages say, and what we say.

A caller begins with nothing counted, and its calls follow each other. It is written as JSON, for
programs in other languages.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis.asyncio import Redis

from gateway.core.limit import Limit
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.sliding_window import window_ms

CALLS_OF_A_CALLER = 25
BEGIN_MS = 1_900_000_000_000
CLOCK = """
local server, now = redis, tonumber(table.remove(ARGV))
local redis = {call = function(name, ...)
  if name == 'TIME' then return {math.floor(now / 1000), now % 1000 * 1000} end
  return server.call(name, ...)
end}
"""
"""Stands before a script: its ``TIME`` is the last argument, in milliseconds."""


class Call(NamedTuple):
    """A call at a time, which costs so much."""

    now_ms: int
    cost: int = 1


class Caller(NamedTuple):
    """A caller with a limit of its own, and its calls in order."""

    name: str
    limit: Limit
    calls: tuple[Call, ...]

    @property
    def plan(self) -> dict[str, Any]:
        """The same for JSON."""
        limit = self.limit
        return {
            "name": self.name,
            "algorithm": limit.algorithm,
            "tokens": limit.capacity,
            "refill": limit.rate,
            "window_ms": window_ms(limit),
            "calls": self.calls,
        }

    @property
    def is_of_ones(self) -> bool:
        """Whether each call costs one."""
        return all(call.cost == 1 for call in self.calls)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What our arithmetic says of a call, and what was counted before it."""

    allowed: bool
    known: tuple[int, ...] | None


def random_callers(seed: int, calls: int) -> Iterator[Caller]:
    """
    Generate callers that make ``calls`` calls in all, a third of them by each algorithm.

    Windows are longer than a run of them all takes: no key ends by the server's own clock.
    """
    dice = random.Random(seed)
    names = sorted(ALGORITHMS)
    for number in range(calls // CALLS_OF_A_CALLER):
        rate = dice.choice((1, 2, 3, 5, 10, 20))
        algorithm = names[number % len(names)]
        burst = dice.choice((1, rate, 2 * rate, 20)) if algorithm == "token-bucket" else None
        window_s = dice.choice((100_000, 123_457, 1_000_000))
        limit = Limit("any", rate, window_s, algorithm=algorithm, burst=burst)
        most = 1 if dice.random() < 0.7 else 5
        yield Caller(f"{algorithm}-{number}", limit, tuple(_random_calls(dice, limit, most)))


def _random_calls(dice: random.Random, limit: Limit, most: int) -> Iterator[Call]:
    """Generate calls of a caller: at once, evenly, at edges of windows, and after long breaks."""
    length = window_ms(limit)
    now_ms = BEGIN_MS + dice.randrange(length)
    for _ in range(CALLS_OF_A_CALLER):
        match dice.randrange(10):
            case 0 | 1 | 2 | 3:
                pass
            case 4 | 5:
                now_ms += dice.randrange(length // limit.rate + 1)
            case 6:
                now_ms += dice.randrange(length)
            case 7:  # tenths of a window, where shares come out even
                now_ms += length // 10 - now_ms % (length // 10)
            case 8:  # at the edge, or one off
                now_ms += max(0, length - now_ms % length + dice.randrange(-1, 2))
            case _:
                now_ms += dice.randrange(1, 4) * length
        yield Call(now_ms, dice.randrange(1, most + 1))


def our_verdicts(caller: Caller) -> list[Verdict]:
    """Return what our arithmetic says; a cost that exceeds what is left charges nothing."""
    algorithm, limit = ALGORITHMS[caller.limit.algorithm], caller.limit
    known: tuple[int, ...] | None = None
    verdicts = []
    for now_ms, cost in caller.calls:
        counts, states = algorithm.charge(limit, known, cost, now_ms)
        is_allowed = all(state.allowed for state in states)
        verdicts.append(Verdict(is_allowed, known))
        known = counts if is_allowed else known
    return verdicts


async def verdicts_of_script(client: Redis, caller: Caller) -> list[bool]:
    """Return what our script says in the store, by the clock of the calls; each costs one."""
    algorithm, limit = ALGORITHMS[caller.limit.algorithm], caller.limit
    async with client.pipeline(transaction=False) as calls:
        for now_ms, cost in caller.calls:
            keys = [f"{name}{{{caller.name}}}" for name in algorithm.names(limit, now_ms)]
            args = [*algorithm.args(limit, [cost], now_ms), now_ms]
            calls.eval(CLOCK + algorithm.script, len(keys), *keys, *args)
        replies: Sequence[list[int]] = await calls.execute()
    return [reply[1] == 1 for reply in replies]
