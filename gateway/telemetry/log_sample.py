"""
Which requests have a line in the access log.

Refusals and errors are lost to no sample that does not name their status: they are what a log is
read for.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

_FIRST_ERROR = 400
_HUNDRED = 100


class SampledRequests(NamedTuple):
    """Some requests, of which a part has a line."""

    keep: float
    """From 0, for none, to 1, for all."""
    route: str = ""
    """The name of their route; empty for all routes."""
    statuses: frozenset[int] = frozenset()
    """Their statuses; 1 to 5 stand for classes. Empty for all but refusals and errors."""

    def holds(self, route: str, status: int, *, is_refusal: bool) -> bool:
        """Whether a request is one of them."""
        if self.route and self.route != route:
            return False
        if self.statuses:
            return status in self.statuses or status // _HUNDRED in self.statuses
        return not is_refusal and status < _FIRST_ERROR


class Sampler:
    """Decides about requests by the first sample that they are of."""

    def __init__(
        self, samples: Sequence[SampledRequests], draw: Callable[[], float] = random.random
    ) -> None:
        """``draw`` returns a number from 0 up to, but without, 1."""
        self._samples = tuple(samples)
        self._draw = draw
        self._keep: dict[tuple[str, int, bool], float] = {}
        """By what samples ask for: at most routes times statuses, as both are few."""

    def keep(self, route: str, status: int, *, is_refusal: bool) -> float:
        """Return which part of such requests has a line."""
        key = route, status, is_refusal
        part = self._keep.get(key)
        if part is None:
            found = (each.keep for each in self._samples if each.holds(*key[:2], is_refusal=key[2]))
            part = self._keep[key] = next(found, 1.0)
        return part

    def takes(self, part: float) -> bool:
        """Decide about one request, of which ``part`` have a line."""
        return part >= 1.0 or self._draw() < part
