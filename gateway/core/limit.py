"""Rate limits, and how much of one a caller has used."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Limit:
    """
    A rate limit of the config: ``rate`` requests in ``window_s`` seconds.

    The algorithm says how exact the window is; see `gateway.ratelimit.algorithm`.
    """

    name: str
    rate: int
    window_s: int
    on_store_failure: str = "local"
    """``local`` (count in this process), ``open`` (let pass) or ``closed`` (refuse)."""
    algorithm: str = "sliding-window"
    """A name in `gateway.ratelimit.algorithm.ALGORITHMS`."""
    burst: int | None = None
    """How many requests may come at once, where that is not ``rate``: for token buckets."""

    @property
    def capacity(self) -> int:
        """The most requests that may come at once."""
        return self.rate if self.burst is None else self.burst


class LimitState(NamedTuple):
    """The state of one limit for one caller, after a request was charged or refused."""

    limit: Limit
    allowed: bool
    remaining: int
    reset_s: float
    """Seconds until the current window ends."""
    retry_after_s: float
    """Seconds until one more request is allowed; 0 while one already is."""
