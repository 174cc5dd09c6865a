"""
Fields of an app's answer that are about limits: what the request cost, and the app's own limits.

The cost is for the gateway alone: ``X-Gateway-Cost`` never reaches a client.
"""

import re
from typing import Final

from gateway.core.request import RequestHeaders

COST: Final = b"x-gateway-cost"
"""The field in which an app tells the cost, in lower case."""
LIMIT_FIELDS: Final = frozenset(
    {
        b"ratelimit",
        b"ratelimit-policy",
        b"x-ratelimit-limit",
        b"x-ratelimit-remaining",
        b"x-ratelimit-reset",
    }
)
"""Fields that tell of limits, in lower case; see `gateway.core.problem.told_limit`."""
MAX_COST: Final = 1_000_000

_COST = re.compile(r"0*([0-9]{1,7})", re.ASCII)


def replaced_limits(block: bytes, lines: bytes) -> bytes:
    """Return ``block`` with ``lines`` in place of what the app told of limits."""
    kept = [
        line
        for line in block.splitlines(keepends=True)
        if line.partition(b":")[0].lower() not in LIMIT_FIELDS
    ]
    return b"".join((*kept, lines))


def told_cost(headers: RequestHeaders) -> str:
    """Return the cost as an answer tells it; empty for none, and no number for several."""
    return ", ".join(headers.getall("X-Gateway-Cost", ()))


def answer_cost(told: str) -> int | None:
    """Return the cost of a request by what its answer told; None for no number up to `MAX_COST`."""
    match = _COST.fullmatch(told)
    cost = int(match[1]) if match is not None else MAX_COST + 1
    return cost if cost <= MAX_COST else None
