"""
Waits, and assertions on durations, that hold on a busy machine too.

A test that is held up by other work on the machine says nothing about the gateway. So a duration is
asserted at best of several tries: `Stopwatch` and `assert_within` raise `TooSlow`, and `at_best_of`
runs the test again. A gateway that is too slow is so in every try.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import ParamSpec, Self

_P = ParamSpec("_P")

POLL_S = 0.005
EDGE_S = 20.0
"""Longer than any test takes to use a limit up."""


async def until(is_so: Callable[[], bool], within_s: float = 20) -> None:
    """Return as soon as it is so. Raises `TimeoutError` where it is not in time."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.01)


def wait_until(is_so: Callable[[], bool], *, within_s: float) -> None:
    """Return as soon as it is so; fail if it is not in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not so within {within_s} s"
        time.sleep(POLL_S)


async def no_edge(window_s: int) -> None:
    """
    Wait for the next window of a limit where this one is about to end.

    At its end the shares of two windows are rounded down, and one request more passes.
    """
    left_s = window_s - time.time() % window_s
    if left_s < EDGE_S:
        await asyncio.sleep(left_s + 0.01)


class TooSlow(AssertionError):
    """Something took longer than it may."""


def assert_within(limit_s: float, took_s: float) -> None:
    """Raise `TooSlow` where ``took_s`` reaches the limit."""
    if took_s >= limit_s:
        raise TooSlow(f"took {took_s:.3f} s, may take {limit_s} s")


class Stopwatch:
    """A block that may take so long; what else goes wrong inside is raised as it is."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._began_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is None:
            assert_within(self._limit_s, time.monotonic() - self._began_s)


def at_best_of(
    tries: int,
) -> Callable[[Callable[_P, Awaitable[None]]], Callable[_P, Awaitable[None]]]:
    """Run an asynchronous test up to ``tries`` times, until no duration in it is `TooSlow`."""

    def decorated(test: Callable[_P, Awaitable[None]]) -> Callable[_P, Awaitable[None]]:
        @functools.wraps(test)
        async def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
            for _ in range(tries - 1):
                try:
                    return await test(*args, **kwargs)
                except TooSlow:
                    continue
            return await test(*args, **kwargs)

        return run

    return decorated
