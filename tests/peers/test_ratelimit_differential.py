"""
Our limits against Upstash's packages, unmodified: random calls, at the same times, on one server.

``LIMIT_CALLS=135000`` makes so many calls with each package; more than 100 000 are compared.
"""

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gateway.core.limit import Limit
from gateway.ratelimit.sliding_window import window_ms
from gateway.ratelimit.token_bucket import debt_at
from tests.fakes.limit_calls import (
    BEGIN_MS,
    Call,
    Caller,
    our_verdicts,
    random_callers,
    verdicts_of_script,
)
from tests.fakes.upstash import RestDatabase, rest_database

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1800)]

CALLS = int(os.environ.get("LIMIT_CALLS", "600"))
SCRIPTS = Path(__file__).parent / "upstash"

PYTHON_CLIENT = """
import asyncio, contextvars, json, math, sys
from upstash_ratelimit import limiter
from upstash_ratelimit.asyncio import FixedWindow, Ratelimit, SlidingWindow, TokenBucket
from upstash_redis.asyncio import Redis

now_ms = contextvars.ContextVar("now_ms")
limiter.now_ms = now_ms.get

def made(caller):
    tokens, window = caller["tokens"], caller["window_ms"]
    match caller["algorithm"]:
        case "fixed-window":
            return FixedWindow(max_requests=tokens, window=window, unit="ms")
        case "sliding-window":
            return SlidingWindow(max_requests=tokens, window=window, unit="ms")
    return TokenBucket(tokens, caller["refill"], window, unit="ms")

async def verdicts(redis, caller):
    ratelimit = Ratelimit(redis, made(caller), prefix="pypi")
    key, found, ends_at = f"pypi:{caller['name']}", [], math.inf
    for now, cost in caller["calls"]:
        if now >= ends_at:
            await redis.delete(key)
        now_ms.set(now)
        allowed = (await ratelimit.limit(caller["name"], cost)).allowed
        found.append(allowed)
        if allowed and caller["algorithm"] == "token-bucket":
            left = await redis.pttl(key)
            ends_at = now + math.ceil(left / caller["window_ms"]) * caller["window_ms"]
    return found

async def all_verdicts(callers):
    turn = asyncio.Semaphore(32)
    async with Redis.from_env(allow_telemetry=False) as redis:
        async def in_turn(caller):
            async with turn:
                return await verdicts(redis, caller)
        return await asyncio.gather(*map(in_turn, callers))

print(json.dumps(asyncio.run(all_verdicts(json.load(sys.stdin)))))
"""

Theirs = Callable[[Sequence[Caller]], Coroutine[Any, Any, list[list[bool]]]]
"""What a package says of the calls of each caller."""

COST = "a refused cost is charged there"
ROUNDING = "a share is rounded down below its value there"
STEPS = "a bucket regains its rate at once there, evenly here"
PHASE = "a full bucket goes on with its steps there"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def database() -> AsyncIterator[RestDatabase]:
    """A database for each module; each package takes keys of its own."""
    async with rest_database() as running:
        yield running


@pytest.fixture(params=["npm", "pypi"])
def theirs(request: pytest.FixtureRequest, database: RestDatabase) -> Theirs:
    """Each of Upstash's packages."""
    if request.param == "pypi":
        if find_spec("upstash_ratelimit") is None:
            pytest.skip("upstash_ratelimit is not installed: make peers")
        words = [sys.executable, "-c", PYTHON_CLIENT]
    else:
        folder = request.getfixturevalue("packages")
        words = ["node", shutil.copy(SCRIPTS / "differential.mjs", folder)]

    async def verdicts(callers: Sequence[Caller]) -> list[list[bool]]:
        process = await asyncio.create_subprocess_exec(
            *words,
            env=os.environ | database.environment | {"UPSTASH_DISABLE_TELEMETRY": "1"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        plan = json.dumps([caller.plan for caller in callers])
        stdout, stderr = await process.communicate(plan.encode())
        assert 0 == process.returncode, stderr.decode()
        found: list[list[bool]] = json.loads(stdout)
        return found

    return verdicts


async def test_random_calls_get_the_same_verdicts_save_for_named_differences(
    theirs: Theirs, database: RestDatabase, request: pytest.FixtureRequest
) -> None:
    """Each caller is compared up to its first difference, as both count apart after it."""
    callers = list(random_callers(20261130, CALLS))
    told = await theirs(callers)
    differences: Counter[str] = Counter()
    same = 0
    for caller, verdicts in zip(callers, told, strict=True):
        alike, difference = _compared(caller, verdicts)
        same += alike
        if difference:
            differences[f"{caller.limit.algorithm}: {difference}"] += 1
    tally = "".join(f"\n  {number:6} {kind}" for kind, number in sorted(differences.items()))
    print(f"\n{request.node.name}: {CALLS} calls, {same} alike{tally}")  # noqa: T201 (the figures)

    assert same >= CALLS * 0.6
    assert not [kind for kind in differences if kind.endswith(": ?")]


async def test_the_scripts_decide_as_the_arithmetic_that_is_compared(
    database: RestDatabase,
) -> None:
    """On the same server, by the clock of the calls."""
    callers = [each for each in random_callers(20261130, CALLS) if each.is_of_ones]
    async with Redis(unix_socket_path=database.socket_path) as client:
        for caller in callers:
            ours = [verdict.allowed for verdict in our_verdicts(caller)]
            assert ours == await verdicts_of_script(client, caller)


def _compared(caller: Caller, theirs: list[bool]) -> tuple[int, str]:
    """Return how many verdicts are the same, and the kind of the first that is not."""
    ours = our_verdicts(caller)
    for at, verdict in enumerate(ours):
        if verdict.allowed != theirs[at]:
            return at, _kind(caller, at, theirs)
    return len(ours), ""


def _kind(caller: Caller, at: int, theirs: list[bool]) -> str:
    """Return which of the named differences the verdict of the call ``at`` is; ``?`` for none."""
    limit, ours = caller.limit, our_verdicts(caller)
    known, is_stricter = ours[at].known, theirs[at]
    before = list(zip(caller.calls[:at], theirs, strict=False))
    if limit.algorithm == "token-bucket":
        was_full = any(
            debt_at(limit, verdict.known, call.now_ms) == 0
            for verdict, call in zip(ours[1 : at + 1], caller.calls[1:], strict=False)
        )
        if is_stricter:
            return PHASE if was_full else "?"
        return STEPS if limit.rate > 1 else "?"
    if is_stricter:
        return ROUNDING if known and _share_is_whole(limit, known, caller.calls[at]) else "?"
    return COST if any(call.cost > 1 and not passed for call, passed in before) else "?"


def _share_is_whole(limit: Limit, known: tuple[int, ...], call: Call) -> bool:
    """Return whether the window before counts by a share that needs no rounding."""
    length = window_ms(limit)
    window, current, previous = known
    counted = {0: previous, 1: current}.get(call.now_ms // length - window, 0)
    return counted > 0 and counted * (length - call.now_ms % length) % length == 0


# --- each difference by itself ------------------------------------------------------------------

DAY_S = 100_000
DAY_MS = DAY_S * 1000
EDGE_MS = BEGIN_MS - BEGIN_MS % DAY_MS + DAY_MS
"""When a window of the grid begins."""


def _caller(name: str, algorithm: str, rate: int, *calls: Call, burst: int | None = None) -> Caller:
    return Caller(name, Limit("any", rate, DAY_S, algorithm=algorithm, burst=burst), calls)


def _at(share: float, cost: int = 1, times: int = 1) -> list[Call]:
    """Calls at that share of the first window."""
    return [Call(EDGE_MS + round(share * DAY_MS), cost)] * times


NAMED = {
    COST: [
        (
            _caller("cost-fixed", "fixed-window", 5, *_at(0, 4), *_at(0, 2), *_at(0)),
            [True, False, True],
            [True, False, False],
        ),
        (
            _caller("cost-sliding", "sliding-window", 5, *_at(0, 4), *_at(0, 2), *_at(0)),
            [True, False, True],
            [True, False, False],
        ),
    ],
    ROUNDING: [
        (  # (1 - 0.9) × 10 is below 1 in binary fractions
            _caller("rounding", "sliding-window", 10, *_at(0, times=10), *_at(1.9, times=10)),
            [True] * 19 + [False],
            [True] * 20,
        ),
    ],
    STEPS: [
        (
            _caller("steps", "token-bucket", 2, *_at(0, times=2), *_at(0.5), *_at(1)),
            [True, True, True, True],
            [True, True, False, True],
        ),
    ],
    PHASE: [
        (  # both are full at 2; used up at 2.5, the next token is there at 3, or at 3.5 here
            _caller(
                "phase",
                "token-bucket",
                1,
                *_at(0),
                *_at(0.9),
                *_at(2.5, times=2),
                *_at(3.1),
                burst=2,
            ),
            [True, True, True, True, False],
            [True, True, True, True, True],
        ),
    ],
}
"""Callers with what we say, and what the packages say."""


_ON_THE_EDGES = (
    *_at(0, times=3),
    Call(EDGE_MS + DAY_MS - 1),
    *_at(1, times=2),
    Call(EDGE_MS + DAY_MS + 1),
    *_at(2, times=3),
    *_at(4, times=4),
)
"""In the last millisecond of a window, in the first of the next, and of the one after."""
EDGES = [
    _caller("edge-fixed", "fixed-window", 2, *_ON_THE_EDGES),
    _caller("edge-sliding", "sliding-window", 2, *_ON_THE_EDGES),
    _caller("edge-bucket", "token-bucket", 1, *_ON_THE_EDGES, burst=2),
]


async def test_each_named_difference_and_none_at_the_edges_of_windows(theirs: Theirs) -> None:
    """Each shown by the fewest calls that tell it."""
    named = [(kind, *shown) for kind, many in NAMED.items() for shown in many]

    told = await theirs([*(caller for _, caller, _, _ in named), *EDGES])

    for (kind, caller, ours, expected), verdicts in zip(named, told, strict=False):
        assert ours == [verdict.allowed for verdict in our_verdicts(caller)]
        assert expected == verdicts
        assert kind == _compared(caller, verdicts)[1]
    for caller, verdicts in zip(EDGES, told[len(named) :], strict=True):
        assert verdicts == [verdict.allowed for verdict in our_verdicts(caller)]
