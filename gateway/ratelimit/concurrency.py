"""
Concurrency: the arithmetic of a limit on requests that are under way at one time.

Each of them holds a lease. A lease ends with its request, or ``window_s`` seconds after it was last
renewed, which is what remains of a gateway that died. `grant` is what ``concurrency.lua`` does
inside the store; tests compare the two.
"""

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.lua import read

NAME = "concurrency"
"""The name that ``limits.*.algorithm`` gives it."""
SCRIPT = read("concurrency")
RETRY_S = 1.0
"""What a refused caller is told to wait. When a request will end is unknown."""


def key_name(limit: Limit) -> str:
    """Name the key of a caller's leases; it gets the caller as hash tag."""
    return f"limit:{limit.name}:leases:"


def grant(limit: Limit, held: int, asked: int) -> int:
    """Return how many of ``asked`` leases are granted where ``held`` are under way."""
    return max(0, min(asked, limit.rate - held))


def answers(limit: Limit, held: int, granted: int, asked: int) -> list[LimitState]:
    """
    Answer each of ``asked`` requests, in order of arrival; the first ``granted`` hold a lease.

    ``held`` counts all leases of the caller, with these.
    """
    left = max(0, limit.rate - held)
    told = [
        LimitState(limit, True, remaining, RETRY_S, 0.0)
        for remaining in range(left + granted - 1, left - 1, -1)
    ]
    return told + [LimitState(limit, False, 0, RETRY_S, RETRY_S)] * (asked - granted)
